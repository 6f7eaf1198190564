//! The backend without compilation: walks an expression tree for every row and looks at the type of
//! every value, as the interpreter of a dynamically typed language does. The slow end of the comparison,
//! and an implementation independent of the vector kernels to check them against.

use std::sync::LazyLock;

use arrow::array::{ArrayRef, new_empty_array};
use datafusion::common::{Result, ScalarValue, exec_err};

use super::Backend;

/// One row at a time, types looked up anew for every value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Interpreted;

impl Backend for Interpreted {
    fn description(&self) -> String {
        "interpreted".to_owned()
    }

    fn log3(&self, arguments: [&ArrayRef; 3]) -> Result<ArrayRef> {
        static LOG3: LazyLock<Node> = LazyLock::new(|| {
            let ln = |argument| Box::new(Node::Ln(Box::new(Node::Argument(argument))));
            Node::Multiply(Box::new(Node::Multiply(ln(0), ln(1))), ln(2))
        });
        let rows = arguments[0].len();
        if rows == 0 {
            return Ok(new_empty_array(arguments[0].data_type()));
        }
        let results = (0..rows).map(|row| LOG3.evaluate(&arguments, row)).collect::<Result<Vec<_>>>()?;
        ScalarValue::iter_to_array(results)
    }
}

/// An expression tree.
enum Node {
    /// The argument with this position.
    Argument(usize),
    /// The natural logarithm.
    Ln(Box<Node>),
    /// The product.
    Multiply(Box<Node>, Box<Node>),
}

impl Node {
    fn evaluate(&self, arguments: &[&ArrayRef], row: usize) -> Result<ScalarValue> {
        match self {
            Self::Argument(position) => {
                let Some(array) = arguments.get(*position) else {
                    return exec_err!("there is no argument {position}");
                };
                ScalarValue::try_from_array(array, row)
            }
            Self::Ln(operand) => match operand.evaluate(arguments, row)? {
                ScalarValue::Float64(value) => Ok(ScalarValue::Float64(value.map(f64::ln))),
                ScalarValue::Float32(value) => Ok(ScalarValue::Float32(value.map(f32::ln))),
                other => exec_err!("ln does not work on {}", other.data_type()),
            },
            Self::Multiply(left, right) => {
                match (left.evaluate(arguments, row)?, right.evaluate(arguments, row)?) {
                    (ScalarValue::Float64(left), ScalarValue::Float64(right)) => {
                        Ok(ScalarValue::Float64(left.zip(right).map(|(left, right)| left * right)))
                    }
                    (ScalarValue::Float32(left), ScalarValue::Float32(right)) => {
                        Ok(ScalarValue::Float32(left.zip(right).map(|(left, right)| left * right)))
                    }
                    (left, right) => {
                        exec_err!("cannot multiply {} by {}", left.data_type(), right.data_type())
                    }
                }
            }
        }
    }
}
