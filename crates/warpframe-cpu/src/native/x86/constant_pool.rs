//! The constants in front of the code.

use std::collections::HashMap;
use std::ops::Range;

use crate::class::Class;

/// The size of a line of the cache.
const LINE: usize = 64;

/// Constants, from address 0 on. Equal ones are one.
#[derive(Debug, Default)]
pub(super) struct ConstantPool {
    bytes: Vec<u8>,
    /// The addresses of vectors, by their lanes.
    vectors: HashMap<(Class, Vec<u64>), u64>,
    /// The addresses of numbers that are broadcast, by their bits, and the free part of a line for more.
    numbers: HashMap<u64, u64>,
    free: Range<u64>,
}

impl ConstantPool {
    /// The address of a vector of this size: the lanes of a number of a class, repeated.
    pub fn vector(&mut self, class: Class, lanes: &[u64], size: usize) -> u64 {
        let key = (class, lanes.to_vec());
        if let Some(address) = self.vectors.get(&key) {
            return *address;
        }
        let address = self.bytes.len() as u64;
        let lanes = lanes.iter().cycle().flat_map(|lane| lane.to_le_bytes().into_iter().take(class.width()));
        self.bytes.extend(lanes.take(size));
        self.vectors.insert(key, address);
        address
    }

    /// The address of a number, of 8 bytes, of which one of 4 bytes is the first half.
    pub fn number(&mut self, bits: u64) -> u64 {
        if let Some(address) = self.numbers.get(&bits) {
            return *address;
        }
        if self.free.is_empty() {
            let start = self.bytes.len() as u64;
            self.bytes.resize(self.bytes.len() + LINE, 0);
            self.free = start..self.bytes.len() as u64;
        }
        let address = self.free.start;
        self.free.start += size_of::<u64>() as u64;
        self.bytes[address as usize..][..size_of::<u64>()].copy_from_slice(&bits.to_le_bytes());
        self.numbers.insert(bits, address);
        address
    }

    /// All constants.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
}
