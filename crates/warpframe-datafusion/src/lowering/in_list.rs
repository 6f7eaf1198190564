//! IN lists of constants.

use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::InList;

use super::lowered::LowerResult;
use super::lowerer::{Lowerer, constant};
use warpframe_ir::ScalarType;
use warpframe_ir::instruction::Value;

impl Lowerer<'_> {
    /// A list without constants of the operand's type has no lowering. As in DataFusion, floats are in a list if their bits
    /// are: -0 is not in a list that has +0 only.
    pub(super) fn lower_in_list(&mut self, in_list: &InList) -> LowerResult<Option<Value>> {
        let InList { expr, list, negated } = in_list;
        let Some((data_type, _)) = self.types(expr)? else { return Ok(None) };
        let (mut constants, mut has_null) = (Vec::new(), false);
        for element in list {
            let Expr::Literal(literal, _) = element else { return Ok(None) };
            match constant(literal) {
                _ if literal.is_null() => has_null = true,
                Some(constant) if literal.data_type() == data_type => constants.push(constant),
                _ => return Ok(None),
            }
        }
        let x = self.lower_expr(expr)?;
        self.work.add_cheap();
        let builder = &mut self.builder;
        let mut found = builder.in_table(x, &constants);
        if has_null {
            // A value that is not found may be the null.
            let unknown = builder.null(ScalarType::Bool);
            found = builder.or(found, unknown);
        }
        Ok(Some(if *negated { builder.not(found) } else { found }))
    }
}
