//! Checksums of the files that processes of a cluster exchange: shuffle files, results and staged tables.
//!
//! A data file is a sequence of parts that are read separately. The CRC-32 of each block of a part is in a second file,
//! whose name ends in `.crc`, together with the name of the data file and the bounds of the parts; its first four bytes are
//! the CRC-32 of the rest. A CRC-32 detects every single flipped bit, and other damage of a block with a probability of
//! 1 - 2^-32. Readers verify a block before they interpret a byte of it.

use std::fs::{self, File};
use std::io::{self, BufWriter, ErrorKind, Read, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crc32fast::{Hasher, hash};
use datafusion::common::{DataFusionError, Result, exec_datafusion_err};
use prost::Message;

/// The size of a block, in bytes; the last one of a part can be smaller. A block stays in the L2 cache between its
/// verification and its use.
pub(super) const BLOCK_BYTES: usize = 256 * 1024;

/// The checksums of a data file, or of some of its parts.
#[derive(Clone, PartialEq, Message)]
pub(super) struct FileChecksums {
    /// The name of the data file, which readers compare with the one that they asked for.
    #[prost(string, tag = "1")]
    pub file: String,
    #[prost(message, repeated, tag = "2")]
    pub parts: Vec<PartChecksums>,
}

/// The checksums of a part of a file.
#[derive(Clone, PartialEq, Message)]
pub(super) struct PartChecksums {
    /// The first byte of the part in the file.
    #[prost(fixed64, tag = "1")]
    pub start: u64,
    /// The first byte after the part.
    #[prost(fixed64, tag = "2")]
    pub end: u64,
    /// The CRC-32 of each block.
    #[prost(fixed32, repeated, tag = "3")]
    pub checksums: Vec<u32>,
}

/// A block of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    /// The bytes of the file.
    pub bytes: Range<u64>,
    checksum: u32,
}

impl Block {
    /// The number of bytes.
    pub fn len(&self) -> usize {
        (self.bytes.end - self.bytes.start) as usize
    }

    /// Verifies the bytes of the block.
    ///
    /// # Errors
    /// They are not the bytes that were written. `file` names the file in the message.
    pub fn verify(&self, bytes: &[u8], file: &str) -> Result<()> {
        match bytes.len() == self.len() && hash(bytes) == self.checksum {
            true => Ok(()),
            false => {
                let Range { start, end } = self.bytes;
                Err(damaged(file, &format!("the checksum of the bytes {start} to {end} is wrong")))
            }
        }
    }
}

impl FileChecksums {
    /// Computes the checksums of a file whose parts end at these offsets.
    ///
    /// # Errors
    /// The file cannot be read, or is shorter.
    pub fn of_file(path: &Path, file: String, ends: &[u64]) -> io::Result<Self> {
        let mut data = File::open(path)?;
        let mut buffer = vec![0; BLOCK_BYTES];
        let (mut parts, mut start) = (Vec::with_capacity(ends.len()), 0);
        for &end in ends {
            let mut part = PartChecksums { start, end, checksums: Vec::new() };
            while start < end {
                let block = &mut buffer[..(end - start).min(BLOCK_BYTES as u64) as usize];
                data.read_exact(block)?;
                part.checksums.push(hash(block));
                start += block.len() as u64;
            }
            parts.push(part);
        }
        Ok(Self { file, parts })
    }

    /// The bytes of the message, after their CRC-32.
    pub fn seal(&self) -> Vec<u8> {
        let message = self.encode_to_vec();
        [&hash(&message).to_le_bytes()[..], &message].concat()
    }

    /// Decodes what [`seal`](Self::seal) returns, for the data file with this name.
    ///
    /// # Errors
    /// The bytes are damaged, or are the checksums of another file.
    pub fn unseal(sealed: &[u8], file: &str) -> Result<Self> {
        let decoded = sealed.split_first_chunk().and_then(|(checksum, message)| {
            let intact = hash(message) == u32::from_le_bytes(*checksum);
            let checksums = Self::decode(message).ok().filter(|_| intact)?;
            checksums.parts.iter().all(PartChecksums::is_complete).then_some(checksums)
        });
        match decoded {
            Some(checksums) if checksums.file == file => Ok(checksums),
            Some(other) => Err(damaged(file, &format!("what was read is '{}'", other.file))),
            None => Err(damaged(file, &"its checksums are damaged")),
        }
    }

    /// Writes the checksums beside their data file.
    ///
    /// # Errors
    /// The file cannot be written.
    pub fn write(&self, data: &Path) -> io::Result<()> {
        fs::write(checksum_path(data), self.seal())
    }

    /// Reads the checksums beside a data file, which is called `file` in messages.
    ///
    /// # Errors
    /// They cannot be read, are damaged, or are those of another file.
    pub fn read(data: &Path, file: &str) -> Result<Self> {
        match fs::read(checksum_path(data)) {
            Ok(sealed) => Self::unseal(&sealed, file),
            Err(error) if error.kind() == ErrorKind::NotFound && data.exists() => {
                Err(damaged(file, &"it has no checksums"))
            }
            Err(error) => Err(exec_datafusion_err!("cannot read the checksums of '{file}': {error}")),
        }
    }

    /// The blocks of these parts.
    ///
    /// # Errors
    /// There is no such part.
    pub fn blocks(&self, parts: &[usize]) -> Result<Vec<Block>> {
        let mut blocks = Vec::new();
        for &part in parts {
            let part = self.parts.get(part);
            let part = part.ok_or_else(|| damaged(&self.file, &"it has no such partition"))?;
            let starts = (part.start..part.end).step_by(BLOCK_BYTES);
            blocks.extend(starts.zip(&part.checksums).map(|(start, &checksum)| {
                let end = (start + BLOCK_BYTES as u64).min(part.end);
                Block { bytes: start..end, checksum }
            }));
        }
        Ok(blocks)
    }

    /// The checksums of these parts only.
    ///
    /// # Errors
    /// There is no such part.
    pub fn select(&self, parts: &[usize]) -> Result<Self> {
        let selected = parts.iter().map(|&part| {
            self.parts.get(part).cloned().ok_or_else(|| damaged(&self.file, &"it has no such partition"))
        });
        Ok(Self { file: self.file.clone(), parts: selected.collect::<Result<_>>()? })
    }
}

impl PartChecksums {
    /// Whether there is a checksum for each block.
    fn is_complete(&self) -> bool {
        let bytes = self.end.checked_sub(self.start);
        bytes.is_some_and(|bytes| bytes.div_ceil(BLOCK_BYTES as u64) == self.checksums.len() as u64)
    }
}

/// The file with the checksums of a data file.
pub(super) fn checksum_path(data: &Path) -> PathBuf {
    let mut path = data.as_os_str().to_owned();
    path.push(".crc");
    path.into()
}

/// The error for a file that is not as it was written.
pub(super) fn damaged(file: &str, cause: &dyn std::fmt::Display) -> DataFusionError {
    exec_datafusion_err!("the file '{file}' is damaged: {cause}")
}

/// Writes a new data file of one part, and its checksums.
pub(super) struct ChecksumWriter {
    path: PathBuf,
    file: BufWriter<File>,
    block: Hasher,
    /// The number of bytes in `block`.
    block_bytes: usize,
    part: PartChecksums,
}

impl ChecksumWriter {
    /// Creates the file, which must not exist.
    ///
    /// # Errors
    /// It exists, or cannot be created.
    pub fn create_new(path: &Path) -> io::Result<Self> {
        let file = BufWriter::new(File::create_new(path)?);
        let part = PartChecksums::default();
        Ok(Self { path: path.to_owned(), file, block: Hasher::new(), block_bytes: 0, part })
    }

    fn end_block(&mut self) {
        self.part.checksums.push(std::mem::take(&mut self.block).finalize());
        self.block_bytes = 0;
    }

    /// Ends the file, which is called `name` in its checksums, and writes them.
    ///
    /// # Errors
    /// The files cannot be written.
    pub fn finish(mut self, name: &str) -> io::Result<()> {
        self.file.flush()?;
        if self.block_bytes > 0 {
            self.end_block();
        }
        FileChecksums { file: name.to_owned(), parts: vec![self.part] }.write(&self.path)
    }
}

impl Write for ChecksumWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(BLOCK_BYTES - self.block_bytes)];
        let written = self.file.write(bytes)?;
        self.block.update(&bytes[..written]);
        self.block_bytes += written;
        self.part.end += written as u64;
        if self.block_bytes == BLOCK_BYTES {
            self.end_block();
        }
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that cannot go on has failed")]
mod tests {
    use super::*;

    #[test]
    fn the_writer_and_the_file_give_the_same_checksums() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        for length in [0, 1, BLOCK_BYTES - 1, BLOCK_BYTES, BLOCK_BYTES + 1, 3 * BLOCK_BYTES] {
            let bytes: Vec<u8> = (0..length).map(|byte| (byte * 7 / 3) as u8).collect();
            let mut writer = ChecksumWriter::create_new(&path).unwrap();
            writer.write_all(&bytes).unwrap();
            writer.finish("rows").unwrap();
            assert_eq!(std::fs::read(&path).unwrap(), bytes);
            let read = FileChecksums::read(&path, "rows").unwrap();
            let computed = FileChecksums::of_file(&path, "rows".to_owned(), &[length as u64]).unwrap();
            assert_eq!(read, computed);
            let blocks = read.blocks(&[0]).unwrap();
            assert_eq!(blocks.iter().map(Block::len).sum::<usize>(), length);
            for block in blocks {
                block.verify(&bytes[block.bytes.start as usize..block.bytes.end as usize], "rows").unwrap();
            }
            assert!(FileChecksums::read(&path, "others").is_err());
            std::fs::remove_file(checksum_path(&path)).unwrap();
            assert!(FileChecksums::read(&path, "rows").is_err());
            std::fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn parts_are_verified_separately() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows");
        let bytes: Vec<u8> = (0..100).collect();
        std::fs::write(&path, &bytes).unwrap();
        let checksums = FileChecksums::of_file(&path, "rows".to_owned(), &[10, 10, 100]).unwrap();
        let ranges = |parts: &[usize]| -> Vec<_> {
            checksums.blocks(parts).unwrap().into_iter().map(|block| block.bytes).collect()
        };
        assert_eq!(ranges(&[0, 1, 2]), [0..10, 10..100]);
        assert_eq!(ranges(&[1]), []);
        assert_eq!(ranges(&[2]), std::slice::from_ref(&(10..100)));
        assert!(checksums.blocks(&[3]).is_err());
        assert_eq!(checksums.select(&[2]).unwrap().blocks(&[0]).unwrap(), checksums.blocks(&[2]).unwrap());
        assert!(FileChecksums::of_file(&path, "rows".to_owned(), &[101]).is_err());
    }

    #[test]
    fn every_flipped_bit_of_the_checksums_is_an_error() {
        let part = PartChecksums { start: 0, end: 5, checksums: vec![hash(b"12345")] };
        let sealed = FileChecksums { file: "rows".to_owned(), parts: vec![part] }.seal();
        FileChecksums::unseal(&sealed, "rows").unwrap();
        for bit in 0..8 * sealed.len() {
            let mut flipped = sealed.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert!(FileChecksums::unseal(&flipped, "rows").is_err(), "bit {bit}");
        }
        for length in 0..sealed.len() {
            assert!(FileChecksums::unseal(&sealed[..length], "rows").is_err(), "{length} bytes");
        }
    }
}
