//! The objects of a JSON array, one behind the other.

/// Removes the brackets and commas of an array of objects from JSON text that comes piece by piece. They become spaces, so that
/// lines and columns stay. Text that does not begin with an array is left as it is.
#[derive(Debug, Default)]
pub(super) struct ArrayItems {
    place: Place,
    /// The number of objects and arrays around the next byte, inside of the outer array.
    depth: usize,
    is_escaped: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Before the first character.
    #[default]
    Start,
    /// In text that is no array.
    Objects,
    /// In the array, outside of strings.
    Array,
    String,
    /// Behind the array.
    End,
}

impl ArrayItems {
    /// Whether the next piece may have to be changed.
    pub fn may_be_array(&self) -> bool {
        self.place != Place::Objects
    }

    /// Whether the array has ended, or there is none.
    pub fn is_complete(&self) -> bool {
        !matches!(self.place, Place::Array | Place::String)
    }

    /// Replaces what separates the objects in the next piece.
    ///
    /// # Errors
    /// Text follows the end of the array.
    pub fn separate(&mut self, piece: &mut [u8]) -> Result<(), String> {
        for byte in piece {
            match self.place {
                Place::Objects => return Ok(()),
                Place::Start if byte.is_ascii_whitespace() => {}
                // A byte order mark.
                Place::Start if matches!(byte, 0xef | 0xbb | 0xbf) => *byte = b' ',
                Place::Start if *byte == b'[' => {
                    *byte = b' ';
                    self.place = Place::Array;
                }
                Place::Start => self.place = Place::Objects,
                Place::String if self.is_escaped => self.is_escaped = false,
                Place::String => match *byte {
                    b'\\' => self.is_escaped = true,
                    b'"' => self.place = Place::Array,
                    _ => {}
                },
                Place::Array => match *byte {
                    b'"' => self.place = Place::String,
                    b'{' | b'[' => self.depth += 1,
                    b']' if self.depth == 0 => {
                        *byte = b' ';
                        self.place = Place::End;
                    }
                    b'}' | b']' => self.depth = self.depth.saturating_sub(1),
                    b',' if self.depth == 0 => *byte = b' ',
                    _ => {}
                },
                Place::End if byte.is_ascii_whitespace() => {}
                Place::End => return Err("there is text behind the end of the array".to_owned()),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_of_an_array_are_separated_wherever_pieces_end() {
        for (text, expected) in [
            (r#"[{"a":[1,2],"b":"],[\",{"},{"a":3}]"#, r#" {"a":[1,2],"b":"],[\",{"} {"a":3} "#),
            ("\u{feff} [ ] \n", "          \n"),
            ("{\"a\":[1]}\n[", "{\"a\":[1]}\n["),
        ] {
            for length in 1..text.len() {
                let (mut items, mut bytes) = (ArrayItems::default(), text.as_bytes().to_vec());
                bytes.chunks_mut(length).for_each(|piece| items.separate(piece).unwrap_or_default());
                assert_eq!(String::from_utf8_lossy(&bytes), expected, "{length}");
                assert!(items.is_complete());
            }
        }
        let mut items = ArrayItems::default();
        assert!(items.separate(&mut b"[{}".to_vec()).is_ok() && !items.is_complete());
        assert!(items.separate(&mut b"] x".to_vec()).is_err());
    }
}
