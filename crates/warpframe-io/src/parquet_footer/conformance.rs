//! Leaves fields of a wrong type out of a footer. Parquet's footer is a struct of Thrift's compact protocol, whose readers
//! skip fields of types that they do not expect; the reader of the `parquet` crate misreads them.

/// The greatest depth of structs and lists inside of each other.
const MAX_DEPTH: usize = 64;

/// Types of the compact protocol, by their numbers in it.
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const SET: u8 = 10;
const MAP: u8 = 11;
const STRUCT: u8 = 12;

/// The type of a field in the specification.
#[derive(Debug, Clone, Copy)]
enum Type {
    Scalar(u8),
    List(&'static Type),
    /// The fields whose types are checked; others are taken as they are.
    Struct(&'static [(i16, Type)]),
}

impl Type {
    /// The number of the type in the protocol.
    fn number(self) -> u8 {
        match self {
            Self::Scalar(number) => number,
            Self::List(_) => LIST,
            Self::Struct(_) => STRUCT,
        }
    }
}

const ANY_STRUCT: Type = Type::Struct(&[]);

/// The place of the page index, which no value has this type for. The index of such a writer has fields of other types, too,
/// and reading is right without it.
const LEFT_OUT: Type = Type::Scalar(0);

const COLUMN_METADATA: Type = Type::Struct(&[
    (1, Type::Scalar(I32)),
    (2, Type::List(&Type::Scalar(I32))),
    (3, Type::List(&Type::Scalar(BINARY))),
    (4, Type::Scalar(I32)),
    (5, Type::Scalar(I64)),
    (6, Type::Scalar(I64)),
    (7, Type::Scalar(I64)),
    (8, Type::List(&ANY_STRUCT)),
    (9, Type::Scalar(I64)),
    (10, Type::Scalar(I64)),
    (11, Type::Scalar(I64)),
    (12, ANY_STRUCT),
    (13, Type::List(&ANY_STRUCT)),
    (14, Type::Scalar(I64)),
    (15, Type::Scalar(I32)),
    (16, ANY_STRUCT),
    (17, ANY_STRUCT),
]);

const COLUMN_CHUNK: Type = Type::Struct(&[
    (1, Type::Scalar(BINARY)),
    (2, Type::Scalar(I64)),
    (3, COLUMN_METADATA),
    (4, LEFT_OUT),
    (5, LEFT_OUT),
    (6, LEFT_OUT),
    (7, LEFT_OUT),
    (8, ANY_STRUCT),
    (9, Type::Scalar(BINARY)),
]);

const ROW_GROUP: Type = Type::Struct(&[
    (1, Type::List(&COLUMN_CHUNK)),
    (2, Type::Scalar(I64)),
    (3, Type::Scalar(I64)),
    (4, Type::List(&ANY_STRUCT)),
    (5, Type::Scalar(I64)),
    (6, Type::Scalar(I64)),
    (7, Type::Scalar(I16)),
]);

const FILE_METADATA: Type = Type::Struct(&[
    (1, Type::Scalar(I32)),
    (2, Type::List(&ANY_STRUCT)),
    (3, Type::Scalar(I64)),
    (4, Type::List(&ROW_GROUP)),
    (5, Type::List(&ANY_STRUCT)),
    (6, Type::Scalar(BINARY)),
    (7, Type::List(&ANY_STRUCT)),
    (8, ANY_STRUCT),
    (9, Type::Scalar(BINARY)),
]);

/// A footer without the fields of a wrong type; `None` if the bytes are no struct of the protocol.
pub(super) fn without_foreign_fields(footer: &[u8]) -> Option<Vec<u8>> {
    let (mut input, mut output) = (Input { bytes: footer }, Vec::with_capacity(footer.len()));
    copy(&mut input, STRUCT, Some(FILE_METADATA), &mut output, MAX_DEPTH)?.then_some(output)
}

struct Input<'a> {
    bytes: &'a [u8],
}

impl<'a> Input<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.bytes.split_at_checked(length)?;
        self.bytes = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1)?.first().copied()
    }

    /// The bytes of an integer of variable length.
    fn varint(&mut self) -> Option<&'a [u8]> {
        let length = self.bytes.iter().take(10).position(|byte| byte & 0x80 == 0)? + 1;
        self.take(length)
    }

    fn unsigned(&mut self) -> Option<u64> {
        let bytes = self.varint()?.iter().rev();
        Some(bytes.fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f)))
    }
}

/// Copies a value of the type with this number. Returns false, with nothing copied, if it has another type than the
/// specified one, and `None` if the input is not valid.
fn copy(
    input: &mut Input,
    number: u8,
    specified: Option<Type>,
    output: &mut Vec<u8>,
    depth: usize,
) -> Option<bool> {
    let depth = depth.checked_sub(1)?;
    let (start, mut is_right) =
        (output.len(), specified.is_none_or(|specified| specified.number() == number));
    match number {
        1 | 2 => {}
        3 => output.push(input.byte()?),
        I16 | I32 | I64 => output.extend_from_slice(input.varint()?),
        7 => output.extend_from_slice(input.take(8)?),
        BINARY => {
            let length = input.unsigned()?;
            write_unsigned(output, length);
            output.extend_from_slice(input.take(length.try_into().ok()?)?);
        }
        LIST | SET => {
            let header = input.byte()?;
            output.push(header);
            let count = match header >> 4 {
                15 => {
                    let count = input.unsigned()?;
                    write_unsigned(output, count);
                    count
                }
                count => u64::from(count),
            };
            let element = match specified {
                Some(Type::List(element)) => Some(*element),
                _ => None,
            };
            // A list of booleans has a byte for each, a struct's field of that type has none.
            let number = header & 0x0f;
            for _ in 0..count {
                is_right &= match number {
                    1 | 2 => {
                        output.push(input.byte()?);
                        element.is_none()
                    }
                    _ => copy(input, number, element, output, depth)?,
                };
            }
        }
        STRUCT => {
            let fields = match specified {
                Some(Type::Struct(fields)) => fields,
                _ => &[],
            };
            copy_fields(input, fields, output, depth)?;
        }
        // The footer has no maps.
        MAP | 0 | 13.. => return None,
    }
    if !is_right {
        output.truncate(start);
    }
    Some(is_right)
}

/// Copies the fields of a struct, and its end.
fn copy_fields(input: &mut Input, fields: &[(i16, Type)], output: &mut Vec<u8>, depth: usize) -> Option<()> {
    let (mut last_read, mut last_written) = (0i16, 0i16);
    loop {
        let header = input.byte()?;
        if header == 0 {
            output.push(0);
            return Some(());
        }
        let (delta, number) = (header >> 4, header & 0x0f);
        let field = match delta {
            0 => {
                let value = input.unsigned()?;
                i16::try_from((value >> 1) as i64 ^ -((value & 1) as i64)).ok()?
            }
            delta => last_read.checked_add(delta.into())?,
        };
        last_read = field;
        let specified = fields.iter().find(|(known, _)| *known == field).map(|(_, specified)| *specified);
        let start = output.len();
        match field.checked_sub(last_written)? {
            delta @ 1..=15 => output.push((delta as u8) << 4 | number),
            _ => {
                output.push(number);
                write_unsigned(output, (i64::from(field) << 1 ^ i64::from(field) >> 63) as u64);
            }
        }
        match copy(input, number, specified, output, depth)? {
            true => last_written = field,
            false => output.truncate(start),
        }
    }
}

fn write_unsigned(output: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        output.push(value as u8 | 0x80);
        value >>= 7;
    }
    output.push(value as u8);
}
