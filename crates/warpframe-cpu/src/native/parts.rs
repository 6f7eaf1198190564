//! Groups whose code is long are cut into parts.
//!
//! A CPU executes several iterations of a short loop at the same time, so that it need not wait for results. In a long loop, which
//! does not fit into its window, the ops of one iteration wait for each other. Parts pass values through memory in the L1 cache.

use std::cmp::Reverse;
use std::ops::Range;

use warpframe_ir::program::Program;

use super::translation::{Translation, Translator};
use crate::instruction_selection::Selected;

/// The ops of a part. Measured on Zen 5, whose window has room for 448 instructions.
const PART_OPS: usize = 120;

/// The largest number of ops that are not cut.
const WHOLE_OPS: usize = PART_OPS + PART_OPS / 5;

/// The translations of groups or their parts, with the positions of their instructions. Groups without native code are left out.
pub(crate) fn translate(
    program: &Program,
    selected: &[Option<Selected>],
    groups: Vec<Range<usize>>,
) -> Vec<(Range<usize>, Translation)> {
    let mut translations = Vec::new();
    for group in groups {
        let Some(whole) = Translator::of(program, selected, &group) else { continue };
        if whole.ops() <= WHOLE_OPS {
            translations.extend(whole.finish(selected).map(|translation| (group, translation)));
            continue;
        }
        for part in cut(&group, whole.ops_before(), selected) {
            let translator = Translator::of(program, selected, &part);
            let translation = translator.and_then(|translator| translator.finish(selected));
            translations.extend(translation.map(|translation| (part, translation)));
        }
    }
    translations
}

/// Cuts a group into parts, where as few values as possible are read behind the cut. `ops` has the number of ops before each
/// instruction of the group, and that of all.
fn cut(group: &Range<usize>, ops: &[usize], selected: &[Option<Selected>]) -> Vec<Range<usize>> {
    let mut last_uses: Vec<_> = group.clone().collect();
    for position in group.clone() {
        for operand in selected[position].iter().flat_map(|selected| &selected.operands) {
            if let Some(operand) = operand.position().checked_sub(group.start) {
                last_uses[operand] = position;
            }
        }
    }
    let (mut parts, mut start) = (Vec::new(), group.start);
    while start < group.end {
        let ops_to = |end: usize| ops[end - group.start] - ops[start - group.start];
        let read_behind =
            |end: usize| (start..end).filter(|&position| last_uses[position - group.start] >= end).count();
        let mut end = group.end;
        if ops_to(end) > WHOLE_OPS {
            let long_enough = (start + 1..group.end).skip_while(|&end| ops_to(end) < PART_OPS / 2);
            let ends = long_enough.clone().take_while(|&end| ops_to(end) <= PART_OPS);
            let best = ends.min_by_key(|&end| (read_behind(end), Reverse(end)));
            // An instruction of more ops ends its part.
            end = best.or_else(|| long_enough.clone().next()).unwrap_or(group.end);
        }
        parts.push(start..end);
        start = end;
    }
    parts
}
