//! The names in the objects of a JSON file.

use std::fmt;
use std::sync::Arc;

use datafusion::common::Result;
use object_store::{ObjectMeta, ObjectStore};
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::array_items::ArrayItems;
use crate::file_type::Compression;
use crate::text_input::Input;

/// The names in the objects of a file, in the order of their first occurrence, up to the object with the last of the `wanted`
/// ones. `None` if they are not in the first `sample` bytes and more follows, or if the text is not valid.
///
/// # Errors
/// The file cannot be read.
pub(crate) async fn object_names(
    store: &Arc<dyn ObjectStore>,
    object: &ObjectMeta,
    compression: Compression,
    wanted: &[String],
    sample: usize,
) -> Result<Option<Vec<String>>> {
    let mut input = Input::open(store, &object.location, 0, compression).await?;
    let (mut text, mut items, mut names, mut read) = (Vec::new(), ArrayItems::default(), Vec::new(), 0);
    loop {
        let piece = input.next().await?;
        let is_whole = piece.is_none();
        if let Some(piece) = piece {
            let start = text.len();
            text.extend_from_slice(&piece);
            read += piece.len();
            if items.separate(&mut text[start..]).is_err() {
                return Ok(None);
            }
        }
        let mut objects = serde_json::Deserializer::from_slice(&text).into_iter::<Names>();
        for object in objects.by_ref() {
            match object {
                Ok(Names(found)) => {
                    for name in found {
                        if !names.contains(&name) {
                            names.push(name);
                        }
                    }
                }
                Err(error) if error.is_eof() && !is_whole => break,
                Err(_) => return Ok(None),
            }
            if wanted.iter().all(|name| names.contains(name)) {
                return Ok(Some(names));
            }
        }
        let parsed = objects.byte_offset();
        text.drain(..parsed);
        match is_whole {
            true => return Ok(Some(names)),
            false if read >= sample => return Ok(None),
            false => {}
        }
    }
}

/// The names in an object.
struct Names(Vec<String>);

impl<'de> Deserialize<'de> for Names {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(NamesVisitor)
    }
}

/// Visits an object.
struct NamesVisitor;

impl<'de> Visitor<'de> for NamesVisitor {
    type Value = Names;

    fn expecting(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Names, A::Error> {
        let mut names = Vec::new();
        while let Some((name, IgnoredAny)) = map.next_entry()? {
            names.push(name);
        }
        Ok(Names(names))
    }
}
