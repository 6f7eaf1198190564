//! A row for each node of the schema of a file: the root, groups and columns.

use arrow::array::ArrayRef;
use parquet::basic::ConvertedType;
use parquet::schema::types::Type;

use super::columns::{Footer, numbers, texts};

pub const COLUMNS: [&str; 11] = [
    "filename",
    "name",
    "type",
    "type_length",
    "repetition_type",
    "num_children",
    "converted_type",
    "scale",
    "precision",
    "field_id",
    "logical_type",
];

pub const TEXTS: [&str; 6] =
    ["filename", "name", "type", "repetition_type", "converted_type", "logical_type"];

/// The values of [`COLUMNS`].
pub fn columns(footers: &[Footer]) -> Vec<ArrayRef> {
    let mut nodes: Vec<(String, &Type)> = Vec::new();
    for footer in footers {
        let file = footer.file.to_string_lossy();
        let mut found = Vec::new();
        collect(footer.metadata.metadata().file_metadata().schema(), &mut found);
        nodes.extend(found.into_iter().map(|node| (file.to_string(), node)));
    }
    let text = |value: fn(&Type) -> Option<String>| texts(nodes.iter().map(|(_, node)| value(node)));
    let number = |value: fn(&Type) -> Option<i64>| numbers(nodes.iter().map(|(_, node)| value(node)));
    vec![
        texts(nodes.iter().map(|(file, _)| Some(file))),
        text(|node| Some(node.name().to_owned())),
        text(|node| node.is_primitive().then(|| node.get_physical_type().to_string())),
        number(|node| match node {
            Type::PrimitiveType { type_length, .. } if *type_length > 0 => Some((*type_length).into()),
            _ => None,
        }),
        text(|node| {
            let info = node.get_basic_info();
            info.has_repetition().then(|| info.repetition().to_string())
        }),
        number(|node| (!node.is_primitive()).then(|| node.get_fields().len() as i64)),
        text(|node| match node.get_basic_info().converted_type() {
            ConvertedType::NONE => None,
            other => Some(other.to_string()),
        }),
        number(|node| decimal(node).map(|(scale, _)| scale)),
        number(|node| decimal(node).map(|(_, precision)| precision)),
        number(|node| {
            let info = node.get_basic_info();
            info.has_id().then(|| info.id().into())
        }),
        text(|node| node.get_basic_info().logical_type_ref().map(|logical| format!("{logical:?}"))),
    ]
}

/// A node, and those below it.
fn collect<'a>(node: &'a Type, nodes: &mut Vec<&'a Type>) {
    nodes.push(node);
    if !node.is_primitive() {
        node.get_fields().iter().for_each(|child| collect(child, nodes));
    }
}

/// The scale and the precision of a decimal number.
fn decimal(node: &Type) -> Option<(i64, i64)> {
    match node {
        Type::PrimitiveType { scale, precision, .. } if *precision > 0 => {
            Some(((*scale).into(), (*precision).into()))
        }
        _ => None,
    }
}
