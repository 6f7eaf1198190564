//! Chains of operators in parsed statements.

use std::ops::ControlFlow;

use datafusion::common::{Result, plan_err};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast::{BinaryOperator, Expr, Value, VisitorMut};

use crate::visit_statement::visit_statement;

/// The longest chain of operators without parentheses in a statement.
pub const MAX_OPERATORS: usize = 100_000;

/// The longest chain of operators that is planned without being fused. Its evaluation takes stack in proportion to its length,
/// and threads of tokio have 2 MiB.
pub const MAX_CHAIN: usize = 400;

/// The largest number of conditions that are planned without being fused.
pub const MAX_CONDITIONS: usize = 1_000;

/// Chains up to this length remain as they are.
const SHORT: usize = 64;

/// Conjunctions of more conditions are marked. Shorter ones remain visible, so that they can prune files and be the keys of joins.
const MARKED: usize = 500;

/// The operator of marked conjunctions, also in texts of statements.
const MARK: &str = "AND";

/// Whether an operator is the AND of a very long chain.
pub(super) fn is_marked(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::Custom(text) if text == MARK)
}

fn is_logical(op: &BinaryOperator) -> bool {
    matches!(op, BinaryOperator::And | BinaryOperator::Or)
}

fn is_arithmetic(op: &BinaryOperator) -> bool {
    use BinaryOperator::{BitwiseAnd, BitwiseOr, Divide, Minus, Modulo, Multiply, Plus};
    matches!(op, Plus | Minus | Multiply | Divide | Modulo | BitwiseAnd | BitwiseOr)
}

/// Makes balanced trees of the long chains of AND and OR in a statement, which have the same value: `((a OR b) OR c) OR d` becomes
/// `(a OR b) OR (c OR d)`. The order of the operands stays. The AND of very long chains are marked for
/// [`LongChains`](super::LongChains), because DataFusion makes chains of conjunctions again. Returns the length of the longest chain
/// of other operators.
///
/// # Errors
/// A chain has more than [`MAX_OPERATORS`] operators, or more than [`MAX_CHAIN`] that are neither logical nor arithmetic.
pub fn balance(statement: &mut Statement) -> Result<usize> {
    let mut chains = Chains::default();
    match visit_statement(statement, &mut chains) {
        ControlFlow::Continue(()) => Ok(chains.longest),
        ControlFlow::Break(TooLong { operators, limit }) => plan_err!(
            "an expression has a chain of {operators} operators, and at most {limit} can be planned: use an IN list, or a table \
             and a join or an aggregate function"
        ),
    }
}

#[derive(Default)]
struct Chains {
    longest: usize,
    /// The number of operators of the current chain that the visitor has yet to descend through: it visits the left operand of an
    /// operator first.
    below: usize,
}

/// A chain that has more operators than there may be.
struct TooLong {
    operators: usize,
    limit: usize,
}

impl VisitorMut for Chains {
    type Break = TooLong;

    // The visitor descends into the operands after this, so that its depth is not that of the chain.
    fn pre_visit_expr(&mut self, expr: &mut Expr) -> ControlFlow<TooLong> {
        if self.below > 0 {
            self.below -= 1;
            return ControlFlow::Continue(());
        }
        let operators = operators(expr);
        if operators <= SHORT {
            return ControlFlow::Continue(());
        }
        let (first, rest) = dismantle(std::mem::replace(expr, Expr::value(Value::Null)));
        if operators > MAX_OPERATORS {
            return ControlFlow::Break(TooLong { operators, limit: MAX_OPERATORS });
        }
        let others = rest.iter().filter(|(op, _)| !is_logical(op) && !is_arithmetic(op)).count();
        if others > MAX_CHAIN {
            return ControlFlow::Break(TooLong { operators: others, limit: MAX_CHAIN });
        }
        let (shortened, length) = rebuild(first, rest);
        self.longest = self.longest.max(length);
        *expr = shortened;
        self.below = self::operators(expr).saturating_sub(1);
        ControlFlow::Continue(())
    }
}

/// The number of binary operators from an expression down to its first operand.
fn operators(mut expr: &Expr) -> usize {
    let mut operators = 0;
    while let Expr::BinaryOp { left, .. } = expr {
        operators += 1;
        expr = left;
    }
    operators
}

/// The first operand of a chain, and each operator with its right operand.
fn dismantle(mut expr: Expr) -> (Expr, Vec<(BinaryOperator, Expr)>) {
    let mut rest = Vec::new();
    while let Expr::BinaryOp { left, op, right } = expr {
        rest.push((op, *right));
        expr = *left;
    }
    rest.reverse();
    (expr, rest)
}

/// The chain with balanced trees for long runs of one of AND and OR, and its length then.
fn rebuild(first: Expr, rest: Vec<(BinaryOperator, Expr)>) -> (Expr, usize) {
    let (mut chain, mut length) = (first, 0);
    let mut rest = rest.into_iter().peekable();
    while let Some((op, right)) = rest.next() {
        let mut operands = vec![right];
        if is_logical(&op) {
            while let Some((_, right)) = rest.next_if(|(next, _)| *next == op) {
                operands.push(right);
            }
        }
        length += 1;
        chain = match operands.len() {
            1 => binary(chain, op, operands.swap_remove(0)),
            _ => {
                operands.insert(0, chain);
                let mark = op == BinaryOperator::And && operands.len() > MARKED;
                balanced(operands, &if mark { BinaryOperator::Custom(MARK.to_owned()) } else { op })
            }
        };
    }
    (chain, length)
}

/// A balanced tree of operands, of which there is at least one.
fn balanced(mut operands: Vec<Expr>, op: &BinaryOperator) -> Expr {
    while operands.len() > 1 {
        let mut pairs = Vec::with_capacity(operands.len().div_ceil(2));
        let mut each = operands.into_iter();
        while let Some(left) = each.next() {
            pairs.push(match each.next() {
                Some(right) => binary(left, op.clone(), right),
                None => left,
            });
        }
        operands = pairs;
    }
    operands.pop().unwrap_or_else(|| Expr::value(Value::Null))
}

fn binary(left: Expr, op: BinaryOperator, right: Expr) -> Expr {
    Expr::BinaryOp { left: Box::new(left), op, right: Box::new(right) }
}
