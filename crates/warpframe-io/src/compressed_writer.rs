//! Writing compressed text files.

use std::io::{Result, Write};

use bzip2::write::BzEncoder;
use flate2::write::GzEncoder;
use liblzma::write::XzEncoder;

use super::file_type::Compression;

/// The level of xz, that of its command.
const XZ_LEVEL: u32 = 6;

/// Compresses what is written to it. Without [`finish`](Self::finish) the output is not complete.
pub struct CompressedWriter<W: Write>(Encoder<W>);

enum Encoder<W: Write> {
    None(W),
    Gzip(GzEncoder<W>),
    Zstd(zstd::Encoder<'static, W>),
    Bzip2(BzEncoder<W>),
    Xz(XzEncoder<W>),
}

impl<W: Write> CompressedWriter<W> {
    /// A writer to `out` with the usual level of the compression.
    ///
    /// # Errors
    /// The compressor cannot be made.
    pub fn new(out: W, compression: Compression) -> Result<Self> {
        Ok(Self(match compression {
            Compression::UNCOMPRESSED => Encoder::None(out),
            Compression::GZIP => Encoder::Gzip(GzEncoder::new(out, flate2::Compression::default())),
            Compression::ZSTD => Encoder::Zstd(zstd::Encoder::new(out, zstd::DEFAULT_COMPRESSION_LEVEL)?),
            Compression::BZIP2 => Encoder::Bzip2(BzEncoder::new(out, bzip2::Compression::default())),
            Compression::XZ => Encoder::Xz(XzEncoder::new(out, XZ_LEVEL)),
        }))
    }

    /// Writes the end of the compressed text, and returns the output.
    ///
    /// # Errors
    /// The output cannot be written.
    pub fn finish(self) -> Result<W> {
        match self.0 {
            Encoder::None(out) => Ok(out),
            Encoder::Gzip(encoder) => encoder.finish(),
            Encoder::Zstd(encoder) => encoder.finish(),
            Encoder::Bzip2(encoder) => encoder.finish(),
            Encoder::Xz(encoder) => encoder.finish(),
        }
    }
}

impl<W: Write> Write for CompressedWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> Result<usize> {
        match &mut self.0 {
            Encoder::None(out) => out.write(bytes),
            Encoder::Gzip(encoder) => encoder.write(bytes),
            Encoder::Zstd(encoder) => encoder.write(bytes),
            Encoder::Bzip2(encoder) => encoder.write(bytes),
            Encoder::Xz(encoder) => encoder.write(bytes),
        }
    }

    /// Does not flush a compressor: each flush would cost space.
    fn flush(&mut self) -> Result<()> {
        match &mut self.0 {
            Encoder::None(out) => out.flush(),
            _ => Ok(()),
        }
    }
}
