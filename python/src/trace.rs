//! The trace of a Python function: its operations on symbols, as a list of nodes.

use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyTuple};

use crate::dtype::DType;

/// A function of numbers: nodes, each of which has operands among the earlier ones.
#[derive(Debug)]
pub struct Trace {
    /// The nodes.
    pub nodes: Vec<Node>,
    /// The position of the node whose value is the result.
    pub result: usize,
}

/// An operation of a trace.
#[derive(Debug, Clone)]
pub enum Node {
    /// The parameter at this position.
    Parameter(usize),
    /// A constant.
    Constant(Constant),
    /// A conversion to a type.
    Cast(DType, usize),
    /// The operation of this name, which is that of NumPy's universal function, or `where`.
    Op(String, Vec<usize>),
}

/// A constant. Numbers without a type are Python's, which take that of the values that they are combined with.
#[derive(Debug, Clone, Copy)]
pub enum Constant {
    /// A Boolean.
    Bool(bool),
    /// An integer.
    Int(Option<DType>, i64),
    /// A float.
    Float(Option<DType>, f64),
}

impl Trace {
    /// Reads the nodes that the Python code has recorded.
    ///
    /// # Errors
    /// A node is not valid.
    pub fn read(parameters: usize, nodes: &[Bound<'_, PyTuple>], result: usize) -> PyResult<Self> {
        let mut read = Vec::with_capacity(nodes.len());
        for node in nodes {
            let node = read_node(node)?;
            let operands: &[usize] = match &node {
                Node::Parameter(position) if *position >= parameters => {
                    return Err(PyValueError::new_err("a node is a parameter that the function lacks"));
                }
                Node::Parameter(_) | Node::Constant(_) => &[],
                Node::Cast(_, operand) => std::slice::from_ref(operand),
                Node::Op(_, operands) => operands,
            };
            if operands.iter().any(|operand| *operand >= read.len()) {
                return Err(PyValueError::new_err("an operand of a node is not an earlier node"));
            }
            read.push(node);
        }
        if result >= read.len() {
            return Err(PyValueError::new_err("the result is not a node"));
        }
        Ok(Self { nodes: read, result })
    }
}

fn read_node(node: &Bound<'_, PyTuple>) -> PyResult<Node> {
    let name: String = node.get_item(0)?.extract()?;
    Ok(match name.as_str() {
        "param" => Node::Parameter(node.get_item(1)?.extract()?),
        "const" => Node::Constant(read_constant(&node.get_item(1)?, &node.get_item(2)?)?),
        "cast" => Node::Cast(read_dtype(&node.get_item(1)?)?, node.get_item(2)?.extract()?),
        _ => {
            let operands = node.iter().skip(1).map(|operand| operand.extract());
            Node::Op(name, operands.collect::<PyResult<_>>()?)
        }
    })
}

fn read_dtype(name: &Bound<'_, PyAny>) -> PyResult<DType> {
    let name: String = name.extract()?;
    DType::of_name(&name)
        .ok_or_else(|| PyTypeError::new_err(format!("there are no programs with {name} values")))
}

fn read_constant(dtype: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<Constant> {
    let dtype = if dtype.is_none() { None } else { Some(read_dtype(dtype)?) };
    Ok(match dtype {
        _ if value.is_instance_of::<PyBool>() => Constant::Bool(value.extract()?),
        Some(dtype) if dtype.is_float() => Constant::Float(Some(dtype), value.extract()?),
        _ if value.is_instance_of::<PyInt>() => Constant::Int(dtype, value.extract()?),
        None if value.is_instance_of::<PyFloat>() => Constant::Float(None, value.extract()?),
        _ => return Err(PyTypeError::new_err("a constant is not a number")),
    })
}
