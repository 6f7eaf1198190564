//! The type of an expression. DataFusion finds it by evaluating each operator of the expression on empty arrays, and lowering
//! asks for the type of each subexpression: here, common operators of numbers have the type of their operands.

use arrow::datatypes::DataType;
use datafusion::common::{DFSchema, ExprSchema};
use datafusion::logical_expr::{Expr, ExprSchemable, Operator};

use super::lowered::{LowerResult, NotLowered};

/// The type of deeper expressions is DataFusion's. This bounds the stack.
const MAX_DEPTH: usize = 100;

/// The type of an expression over the columns of a schema.
///
/// # Errors
/// The expression is not valid for the schema.
pub fn data_type(expr: &Expr, schema: &DFSchema) -> LowerResult<DataType> {
    match known_type(expr, schema, MAX_DEPTH) {
        Some(known) => Ok(known),
        None => expr.get_type(schema).map_err(|error| NotLowered::Invalid(error.strip_backtrace())),
    }
}

/// The type of an expression of columns, literals, casts and operators whose operands are numbers of one type.
fn known_type(expr: &Expr, schema: &DFSchema, depth: usize) -> Option<DataType> {
    let depth = depth.checked_sub(1)?;
    match expr {
        Expr::Column(column) => Some(schema.field_from_column(column).ok()?.data_type().clone()),
        Expr::Literal(literal, _) => Some(literal.data_type()),
        Expr::Cast(cast) => Some(cast.field.data_type().clone()),
        Expr::Alias(alias) => known_type(&alias.expr, schema, depth),
        Expr::BinaryExpr(binary) => {
            let is_comparison = match binary.op {
                Operator::Plus
                | Operator::Minus
                | Operator::Multiply
                | Operator::Divide
                | Operator::Modulo => false,
                Operator::Eq
                | Operator::NotEq
                | Operator::Lt
                | Operator::LtEq
                | Operator::Gt
                | Operator::GtEq => true,
                _ => return None,
            };
            let left = known_type(&binary.left, schema, depth)?;
            let is_number = left.is_integer() || matches!(left, DataType::Float32 | DataType::Float64);
            if !is_number || known_type(&binary.right, schema, depth)? != left {
                return None;
            }
            Some(if is_comparison { DataType::Boolean } else { left })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::datatypes::{Field, Schema};
    use datafusion::logical_expr::{binary_expr, cast, col, lit};

    #[test]
    fn types_are_those_of_datafusion() -> datafusion::common::Result<()> {
        let types = [
            DataType::Int8,
            DataType::Int16,
            DataType::Int32,
            DataType::Int64,
            DataType::UInt8,
            DataType::UInt16,
            DataType::UInt32,
            DataType::UInt64,
            DataType::Float32,
            DataType::Float64,
            DataType::Boolean,
            DataType::Date32,
            DataType::Utf8,
            DataType::Decimal128(10, 2),
        ];
        let fields = types.iter().map(|data_type| Field::new(data_type.to_string(), data_type.clone(), true));
        let schema = Schema::new(fields.collect::<Vec<_>>());
        let schema = DFSchema::try_from(schema)?;
        let column = |data_type: &DataType| col(datafusion::common::Column::from_name(data_type.to_string()));
        let operators = [
            Operator::Plus,
            Operator::Minus,
            Operator::Multiply,
            Operator::Divide,
            Operator::Modulo,
            Operator::Eq,
            Operator::NotEq,
            Operator::Lt,
            Operator::LtEq,
            Operator::Gt,
            Operator::GtEq,
            Operator::And,
            Operator::BitwiseXor,
            Operator::IsDistinctFrom,
        ];
        let mut known = 0;
        for (one, other) in types.iter().flat_map(|one| types.iter().map(move |other| (one, other))) {
            for operator in operators {
                let sum = binary_expr(column(one), operator, column(other));
                let nested =
                    binary_expr(sum.clone(), Operator::Multiply, cast(lit(1), other.clone()).alias("a"));
                for expr in [sum, nested] {
                    if let Some(found) = known_type(&expr, &schema, MAX_DEPTH) {
                        assert_eq!(found, expr.get_type(&schema)?, "{expr}");
                        known += 1;
                    }
                }
            }
        }
        // Ten types of numbers, with eleven operators each; five of these have results that can be multiplied.
        assert_eq!(known, 10 * (11 + 5));
        Ok(())
    }
}
