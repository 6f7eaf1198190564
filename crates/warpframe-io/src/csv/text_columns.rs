//! Columns of text that are built value by value.

use std::sync::Arc;

use arrow::array::{NullBufferBuilder, StringArray};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};

/// A column of text under construction. Its bytes are checked only at the end.
#[derive(Debug)]
pub(super) struct TextColumn {
    bytes: Vec<u8>,
    offsets: Vec<i32>,
    nulls: NullBufferBuilder,
}

impl Default for TextColumn {
    fn default() -> Self {
        Self { bytes: Vec::new(), offsets: vec![0], nulls: NullBufferBuilder::new(0) }
    }
}

impl TextColumn {
    /// The number of bytes up to which a value may be added.
    pub const MAX_BYTES: usize = i32::MAX as usize;

    /// The number of bytes in the column.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds a value. The caller checks that the column stays within [`MAX_BYTES`](Self::MAX_BYTES).
    pub fn push(&mut self, value: &[u8]) {
        self.bytes.extend_from_slice(value);
        self.offsets.push(self.bytes.len() as i32);
        self.nulls.append_non_null();
    }

    /// Adds NULL.
    pub fn push_null(&mut self) {
        self.offsets.push(self.bytes.len() as i32);
        self.nulls.append_null();
    }

    /// The column, which is empty afterwards.
    ///
    /// # Errors
    /// The position of the first value that is not UTF-8.
    pub fn finish(&mut self) -> Result<Arc<StringArray>, usize> {
        let Self { bytes, offsets, mut nulls } = std::mem::take(self);
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        let values = Buffer::from_vec(bytes);
        let invalid = || {
            let is_invalid =
                |ends: &[i32]| std::str::from_utf8(&values[ends[0] as usize..ends[1] as usize]).is_err();
            offsets.windows(2).position(is_invalid)
        };
        let array = StringArray::try_new(offsets.clone(), values.clone(), nulls.finish());
        array.map(Arc::new).map_err(|_| invalid().unwrap_or(0))
    }
}
