//! The native code of a program's groups, and its variants, which deliver outputs of the program otherwise than to the memory of a
//! block: past the caches, or as sums.

use std::ops::Range;

use warpframe_ir::instruction::Value;
use warpframe_ir::program::Program;

use super::block::Place;
use super::class::Class;
use super::dispatch::DetectedPath;
use super::instruction_selection::{Selected, roots};
use super::native::{self, Delivery, Function, NativeError, Translation, VecCode};

/// The native code of a group of instructions.
#[derive(Debug)]
pub(super) struct NativeCode {
    /// Stores all outputs.
    pub function: Function,
    code: VecCode,
    pub inputs: Vec<Place>,
    pub outputs: Vec<NativeOutput>,
    /// Whether the function has one more output, the mask words of rows whose results are not defined.
    pub has_rare_rows: bool,
    /// The loops of the group, which compute the same.
    pub loops: Vec<usize>,
}

/// An output of native code.
#[derive(Debug, Clone, Copy)]
pub(super) struct NativeOutput {
    pub place: Place,
    /// The output of the program that it is, if that is a number that nothing outside of the group reads.
    pub output: Option<usize>,
}

/// Other functions for native code.
#[derive(Debug)]
pub(super) struct Variant {
    /// Of each [`NativeCode`], the function, if it delivers an output otherwise.
    functions: Vec<Option<Function>>,
    /// Whether each output of the program is delivered otherwise.
    delivers: Vec<bool>,
}

impl NativeCode {
    /// Compiles the translation of a group of instructions. `place` returns where the value of the instruction at a position is.
    ///
    /// # Errors
    /// There is no native code on this CPU.
    pub fn new(
        path: DetectedPath,
        (program, selected): (&Program, &[Option<Selected>]),
        (group, translation): (Range<usize>, Translation),
        place: impl Fn(usize) -> Place,
        loops: Vec<usize>,
    ) -> Result<Self, NativeError> {
        let Translation { code, inputs, outputs, has_rare_rows } = translation;
        let outputs = outputs.iter().map(|&position| NativeOutput {
            place: place(position),
            output: only_output(program, selected, &group, Value::at(position)),
        });
        let outputs: Vec<_> = outputs.collect();
        let function = native::compile(path, &code, inputs.len())?;
        let inputs = inputs.into_iter().map(place).collect();
        Ok(Self { function, code, inputs, outputs, has_rare_rows, loops })
    }

    /// The function that delivers outputs as `delivery` says, which gets their positions in the program; `None` if there is none.
    fn variant(
        &self,
        path: DetectedPath,
        delivery: &impl Fn(usize) -> Option<Delivery>,
    ) -> Option<(Function, Vec<usize>)> {
        let mut code = self.code.clone();
        let mut delivered = Vec::new();
        for (position, native_output) in self.outputs.iter().enumerate() {
            let Some((output, delivery)) =
                native_output.output.and_then(|output| Some((output, delivery(output)?)))
            else {
                continue;
            };
            code.deliver(position as u32, delivery);
            delivered.push(output);
        }
        if delivered.is_empty() {
            return None;
        }
        let function = native::compile(path, &code, self.inputs.len()).ok()?;
        Some((function, delivered))
    }
}

impl Variant {
    /// The functions that deliver outputs of a program as `delivery` says, which gets their positions; `None` if there is none for
    /// any output, or only one that cannot be compiled.
    pub fn new(
        path: DetectedPath,
        codes: &[NativeCode],
        outputs: usize,
        delivery: impl Fn(usize) -> Option<Delivery>,
    ) -> Option<Self> {
        let mut delivers = vec![false; outputs];
        let functions = codes.iter().map(|code| {
            let (function, delivered) = code.variant(path, &delivery)?;
            delivered.into_iter().for_each(|output| delivers[output] = true);
            Some(function)
        });
        let functions = functions.collect();
        delivers.contains(&true).then_some(Self { functions, delivers })
    }

    /// The function for the native code at a position, if it delivers an output otherwise.
    pub fn function(&self, position: usize) -> Option<&Function> {
        self.functions[position].as_ref()
    }

    /// Whether the output of the program at a position is delivered otherwise.
    pub fn delivers(&self, output: usize) -> bool {
        self.delivers[output]
    }
}

/// The output of a program that a number of a group is, if nothing outside of the group reads it.
fn only_output(
    program: &Program,
    selected: &[Option<Selected>],
    group: &Range<usize>,
    value: Value,
) -> Option<usize> {
    let others = selected.iter().enumerate().filter(|(position, _)| !group.contains(position));
    let is_read =
        others.flat_map(|(_, selected)| selected).any(|selected| selected.operands.contains(&value));
    let reads_at_end = roots(program).filter(|root| *root == value).count();
    if is_read || reads_at_end != 1 || Class::of(program.scalar_type(value)) == Class::Bool {
        return None;
    }
    program.outputs().iter().position(|output| output.value == value)
}
