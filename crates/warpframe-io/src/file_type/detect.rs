//! The format of a file whose name does not tell it, by its first bytes.

use super::{Compression, DataFormat, FileType};

/// The number of bytes that are looked at.
pub(crate) const FIRST_BYTES: usize = 8;

/// What the first bytes of a file say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Detected {
    /// The file has this type.
    Type(FileType),
    /// The file is compressed. Which text format is in it cannot be told.
    Compressed(Compression),
    /// The bytes are those of no known binary format: the file may be a text, or anything else.
    Unknown,
}

/// Finds the format of a file by its first bytes, fewer than [`FIRST_BYTES`] if the file is shorter.
pub(crate) fn detect(first: &[u8]) -> Detected {
    const SIGNATURES: [(&[u8], DataFormat); 3] =
        [(b"PAR1", DataFormat::Parquet), (b"ARROW1", DataFormat::Arrow), (b"Obj\x01", DataFormat::Avro)];
    const COMPRESSED: [(&[u8], Compression); 4] = [
        (b"\x1f\x8b", Compression::GZIP),
        (b"\x28\xb5\x2f\xfd", Compression::ZSTD),
        (b"BZh", Compression::BZIP2),
        (b"\xfd7zXZ\0", Compression::XZ),
    ];
    if let Some((_, format)) = SIGNATURES.iter().find(|(signature, _)| first.starts_with(signature)) {
        return Detected::Type(FileType::plain(*format));
    }
    if let Some((_, compression)) = COMPRESSED.iter().find(|(signature, _)| first.starts_with(signature)) {
        return Detected::Compressed(*compression);
    }
    // A message of the stream format: the continuation marker, and a length that is not 0.
    if first.starts_with(b"\xff\xff\xff\xff") && first.len() == FIRST_BYTES && first[4..] != [0; 4] {
        return Detected::Type(FileType::plain(DataFormat::ArrowStream));
    }
    Detected::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_known() {
        let found = |format| Detected::Type(FileType::plain(format));
        for (bytes, expected) in [
            (&b"PAR1\x15\x04\x15\x10"[..], found(DataFormat::Parquet)),
            (b"ARROW1\0\0", found(DataFormat::Arrow)),
            (b"\xff\xff\xff\xff\x80\0\0\0", found(DataFormat::ArrowStream)),
            (b"Obj\x01\x02", found(DataFormat::Avro)),
            (b"\x1f\x8b\x08", Detected::Compressed(Compression::GZIP)),
            (b"\x28\xb5\x2f\xfd\0", Detected::Compressed(Compression::ZSTD)),
            (b"a,b\n1,2", Detected::Unknown),
            (b"", Detected::Unknown),
        ] {
            assert_eq!(detect(bytes), expected, "{bytes:?}");
        }
    }
}
