//! Snapshots of the code of some programs, for both instruction sets on any CPU.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::fmt::Write;

use arrow_schema::DataType;
use iced_x86::{Decoder, DecoderOptions, FastFormatter};
use warpframe_ir::ScalarType;
use warpframe_ir::builder::Builder;
use warpframe_ir::instruction::{Comparison, Input, Output, Value};
use warpframe_ir::ops::{Binary, Unary};
use warpframe_ir::program::Program;

use super::{InstructionSet, encode};
use crate::instruction_selection::select_instructions;
use crate::native::{Arithmetic, Delivery, Grouping, translate};

/// The program of one output, and a predicate if the function returns one, of three columns of `f64`.
fn program(body: impl Fn(&mut Builder, [Value; 3]) -> (Value, Option<Value>)) -> Program {
    let mut builder = Builder::new();
    let input = Input { data_type: DataType::Float64, nullable: false };
    let inputs = [(); 3].map(|()| builder.add_input(input.clone()));
    let (value, predicate) = body(&mut builder, inputs);
    builder.finish(vec![Output { value, data_type: DataType::Float64 }], predicate).unwrap()
}

/// The code of a program for both instruction sets, which delivers its outputs in a way. The constants are in front of it.
fn disassemble(program: &Program, delivery: Delivery) -> String {
    let Grouping { order, groups } = Grouping::new(program);
    let program = program.reordered(&order).unwrap();
    let translations = translate(&program, &select_instructions(&program), groups);
    let mut text = String::new();
    for set in [InstructionSet::Avx2, InstructionSet::Avx512] {
        for (_, translation) in &translations {
            let mut code = translation.code.clone();
            let outputs = translation.outputs.len() + usize::from(translation.has_rare_rows);
            if delivery != Delivery::Plain {
                (0..translation.outputs.len() as u32).for_each(|output| code.deliver(output, delivery));
            }
            let (bytes, entry) = encode(set, &code, translation.inputs.len()).unwrap();
            writeln!(text, "{set:?}: {} inputs, {outputs} outputs", translation.inputs.len()).unwrap();
            let mut formatter = FastFormatter::new();
            formatter.options_mut().set_space_after_operand_separator(true);
            for instruction in Decoder::with_ip(64, &bytes[entry..], entry as u64, DecoderOptions::NONE) {
                let mut line = String::new();
                formatter.format(&instruction, &mut line);
                writeln!(text, "{:5} {line}", instruction.ip()).unwrap();
            }
        }
    }
    text
}

#[test]
fn log3() {
    insta::assert_snapshot!(disassemble(
        &program(|builder, inputs| {
            let [x, y, z] = inputs.map(|input| builder.unary(Unary::Ln, input));
            let product = builder.binary(Binary::Multiply, x, y);
            (builder.binary(Binary::Multiply, product, z), None)
        }),
        Delivery::Plain
    ));
}

fn sum_of_squares() -> Program {
    program(|builder, inputs| {
        let [x, y, z] = inputs.map(|input| builder.binary(Binary::Multiply, input, input));
        let sum = builder.binary(Binary::Add, x, y);
        (builder.binary(Binary::Add, sum, z), None)
    })
}

#[test]
fn sum() {
    insta::assert_snapshot!(disassemble(&sum_of_squares(), Delivery::Sum(Arithmetic::Add)));
}

#[test]
fn non_temporal() {
    insta::assert_snapshot!(disassemble(&sum_of_squares(), Delivery::NonTemporal));
}

#[test]
fn sigmoid() {
    insta::assert_snapshot!(disassemble(
        &program(|builder, [x, y, _]| {
            let difference = builder.binary(Binary::Subtract, y, x);
            let ten = builder.const_float(ScalarType::F64, 10.0);
            let quotient = builder.binary(Binary::Divide, difference, ten);
            let exp = builder.unary(Unary::Exp, quotient);
            let one = builder.const_float(ScalarType::F64, 1.0);
            let sum = builder.binary(Binary::Add, one, exp);
            (builder.binary(Binary::Divide, one, sum), None)
        }),
        Delivery::Plain
    ));
}

#[test]
fn filter() {
    insta::assert_snapshot!(disassemble(
        &program(|builder, [x, y, z]| {
            let product = builder.binary(Binary::Multiply, x, y);
            let two = builder.const_float(ScalarType::F64, 2.0);
            let is_greater = builder.compare(Comparison::TotalLt, two, product);
            let is_positive = {
                let zero = builder.const_float(ScalarType::F64, 0.0);
                builder.compare(Comparison::Lt, zero, z)
            };
            let predicate = builder.and(is_greater, is_positive);
            (builder.binary(Binary::Add, product, z), Some(predicate))
        }),
        Delivery::Plain
    ));
}
