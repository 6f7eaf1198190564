//! Copies of columns to page-locked memory, on all threads.

use std::iter;
use std::mem::MaybeUninit;
use std::ops::Range;

use rayon::prelude::*;

use arrow_buffer::Buffer;

use super::input_column::InputColumn;
use super::layout::{ALIGNMENT, Layout};
use super::memory::PinnedMemory;
use super::pinned_pool::PinnedRanges;

/// The bytes of a task of a parallel copy.
const TASK_BYTES: usize = 256 * 1024;

/// What is copied to the GPU for the inputs of a chunk: offsets in device memory, addresses and lengths. The memory must live
/// until the copies have completed.
pub(super) type Copies = Vec<(usize, *const u8, usize)>;

/// A part of the inputs of a chunk at an offset in staging memory.
struct Part {
    offset: usize,
    bytes: usize,
    /// `None` for a validity without nulls, all bits of which are 1.
    source: Option<Buffer>,
}

/// Copies rows of columns to staging memory in one parallel pass, except those that are in page-locked memory already.
/// Neighbors in staging memory are one copy to the GPU, with the bytes between them: where no column is in page-locked memory,
/// there is one copy.
///
/// # Safety
/// No pending operation in a stream accesses the inputs' part of the staging memory.
pub(super) unsafe fn stage(
    staging: &mut PinnedMemory,
    pinned: &PinnedRanges,
    columns: &[InputColumn],
    rows: &Range<usize>,
    layout: &Layout,
) -> Copies {
    let (mut parts, mut copies): (Vec<Part>, Copies) = Default::default();
    let mut end_of_last = None;
    let address = staging.address().as_ptr();
    for (column, (values_at, validity_at)) in columns.iter().zip(layout.inputs()) {
        let values = column.values(rows);
        let validity = validity_at.map(|at| (at, rows.len().div_ceil(8), column.validity(rows)));
        for (offset, bytes, source) in iter::once((values_at, values.len(), Some(values))).chain(validity) {
            if let Some(source) = source.as_ref().filter(|source| pinned.contains(source)) {
                // Copied without staging. The buffer lives until the copy has completed: the inputs outlive the evaluation.
                copies.push((offset, source.as_ptr(), bytes));
                end_of_last = None;
                continue;
            }
            match copies.last_mut() {
                Some((start, _, length)) if end_of_last == Some(offset) => *length = offset + bytes - *start,
                _ => copies.push((offset, address.wrapping_add(offset).cast_const(), bytes)),
            }
            end_of_last = Some((offset + bytes).next_multiple_of(ALIGNMENT));
            parts.push(Part { offset, bytes, source });
        }
    }
    let mut tasks = Vec::new();
    // SAFETY: as the caller guarantees.
    let (mut rest, mut position) = (unsafe { staging.range_mut(0, layout.inputs_bytes()) }, 0);
    for part in &parts {
        let (_, from_part) = std::mem::take(&mut rest).split_at_mut(part.offset - position);
        let (target, behind) = from_part.split_at_mut(part.bytes);
        (rest, position) = (behind, part.offset + part.bytes);
        match &part.source {
            Some(source) => {
                let sources = source[..part.bytes].chunks(TASK_BYTES).map(Some);
                tasks.extend(target.chunks_mut(TASK_BYTES).zip(sources));
            }
            None => tasks.extend(target.chunks_mut(TASK_BYTES).map(|target| (target, None))),
        }
    }
    run(tasks);
    copies
}

/// Copies bytes between slices of equal length, on all threads of rayon's pool if there are enough bytes.
pub(super) fn parallel_copy(to: &mut [MaybeUninit<u8>], from: &[u8]) {
    run(to.chunks_mut(TASK_BYTES).zip(from.chunks(TASK_BYTES).map(Some)).collect());
}

/// A target with a source of its length, or without one, if all bits become 1.
type Task<'a> = (&'a mut [MaybeUninit<u8>], Option<&'a [u8]>);

/// Runs the tasks. On a thread
/// of a rayon pool it copies sequentially: while it waited for other threads, rayon could run another evaluation on it, which
/// could wait for the permit that this one holds.
fn run(tasks: Vec<Task>) {
    let copy = |(to, from): Task| match from {
        Some(from) => {
            to.write_copy_of_slice(from);
        }
        None => to.iter_mut().for_each(|byte| *byte = MaybeUninit::new(u8::MAX)),
    };
    let bytes: usize = tasks.iter().map(|(to, _)| to.len()).sum();
    if bytes <= TASK_BYTES || rayon::current_thread_index().is_some() {
        tasks.into_iter().for_each(copy);
    } else {
        tasks.into_par_iter().for_each(copy);
    }
}
