//! IN lists of constants.

use datafusion::logical_expr::Expr;
use datafusion::logical_expr::expr::InList;

use super::lowered::LowerResult;
use super::lowerer::{Lowerer, constant};
use warpframe_ir::instruction::Value;
use warpframe_ir::{Scalar, ScalarType};

impl Lowerer<'_> {
    /// A list without constants of the operand's type has no lowering. Zeros of both signs are in a list that has one of
    /// them.
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
        // A table compares bits.
        match constants.iter().find(|constant| constant.as_float() == Some(0.0)) {
            Some(Scalar::F32(_)) => constants.extend([Scalar::F32(0.0), Scalar::F32(-0.0)]),
            Some(Scalar::F64(_)) => constants.extend([Scalar::F64(0.0), Scalar::F64(-0.0)]),
            _ => {}
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
