//! The tables and functions that DataFusion's own runner of these files makes in Rust.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, DictionaryArray, Int32Array, StringArray, StructArray, TimestampNanosecondArray, UInt32Array,
    UnionArray,
};
use arrow::buffer::ScalarBuffer;
use arrow::compute::kernels::numeric::add;
use arrow::datatypes::{DataType, Field, Schema, UInt32Type, UnionFields};
use arrow::record_batch::RecordBatch;
use datafusion::logical_expr::{ColumnarValue, Volatility, create_udf};
use datafusion::prelude::SessionContext;

/// Makes those of this file. Not all are here: without one, statements fail in both sessions.
pub fn register(context: &SessionContext, file: &str) {
    match file {
        "joins.slt" => example_function(context),
        "metadata.slt" | "arrow_field.slt" => metadata(context),
        "union_function.slt" => union(context),
        "dictionary_struct.slt" => dictionaries(context),
        _ => {}
    }
}

fn example_function(context: &SessionContext) {
    let float = || DataType::Float64;
    let sum = Arc::new(|arguments: &[ColumnarValue]| {
        let arrays = ColumnarValue::values_to_arrays(arguments)?;
        Ok(ColumnarValue::Array(add(&arrays[0], &arrays[1])?))
    });
    context.register_udf(create_udf("example", vec![float(), float()], float(), Volatility::Immutable, sum));
}

fn with_metadata(field: Field, value: &str) -> Field {
    field.with_metadata(HashMap::from([("metadata_key".to_owned(), value.to_owned())]))
}

fn metadata(context: &SessionContext) {
    let text = |words: [Option<&str>; 3]| -> ArrayRef { Arc::new(StringArray::from(words.to_vec())) };
    let time = Arc::new(TimestampNanosecondArray::from(vec![1_599_572_549_190_855_123; 3]));
    let columns: [(&str, bool, ArrayRef); 5] = [
        ("id", true, Arc::new(Int32Array::from(vec![Some(1), None, Some(3)]))),
        ("name", true, text([None, Some("bar"), Some("baz")])),
        ("l_name", true, text([None, Some("l_bar"), Some("l_baz")])),
        ("ts", false, time),
        ("nonnull_name", false, text([Some("no_foo"), Some("no_bar"), Some("no_baz")])),
    ];
    let field = |(name, nullable, array): &(&str, bool, ArrayRef)| {
        with_metadata(Field::new(*name, array.data_type().clone(), *nullable), &format!("the field {name}"))
    };
    let metadata = HashMap::from([("metadata_key".to_owned(), "the schema".to_owned())]);
    let schema = Schema::new(columns.iter().map(field).collect::<Vec<_>>()).with_metadata(metadata);
    let arrays = columns.into_iter().map(|(_, _, array)| array).collect();
    let batch = RecordBatch::try_new(Arc::new(schema), arrays).unwrap();
    context.register_batch("table_with_metadata", batch).unwrap();
    for (table, column, rows) in [("larger_table", "a", 10), ("smaller_table", "b", 1)] {
        let metadata = HashMap::from([("metadata_key".to_owned(), table.to_owned())]);
        let schema = Schema::new(vec![Field::new(column, DataType::Int32, false)]).with_metadata(metadata);
        let numbers = Arc::new(Int32Array::from_iter_values(1..=rows));
        context
            .register_batch(table, RecordBatch::try_new(Arc::new(schema), vec![numbers]).unwrap())
            .unwrap();
    }
}

fn union(context: &SessionContext) {
    let fields = [Field::new("int", DataType::Int32, false), Field::new("string", DataType::Utf8, false)];
    let array = UnionArray::try_new(
        UnionFields::try_new([3, 1], fields).unwrap(),
        ScalarBuffer::from(vec![3_i8, 1, 3, 3, 1, 3]),
        None,
        vec![
            Arc::new(Int32Array::from(vec![1, 2, 3, 1, 5, 3])),
            Arc::new(StringArray::from(vec!["foo", "bar", "baz", "qux", "bar", "quux"])),
        ],
    );
    let columns = [("union_column", Arc::new(array.unwrap()) as ArrayRef, false)];
    context
        .register_batch("union_table", RecordBatch::try_from_iter_with_nullable(columns).unwrap())
        .unwrap();
}

fn dictionaries(context: &SessionContext) {
    let people = |names: &[&str]| -> ArrayRef {
        let ids = Int32Array::from_iter_values(1..=names.len() as i32);
        let name = Field::new("name", DataType::Utf8, false);
        let id = Field::new("id", DataType::Int32, false);
        let columns: [(Arc<Field>, ArrayRef); 2] =
            [(Arc::new(name), Arc::new(StringArray::from(names.to_vec()))), (Arc::new(id), Arc::new(ids))];
        Arc::new(StructArray::from(columns.to_vec()))
    };
    let dictionary = |keys: UInt32Array, values: ArrayRef| -> ArrayRef {
        Arc::new(DictionaryArray::<UInt32Type>::try_new(keys, values).unwrap())
    };
    let encoded = dictionary(UInt32Array::from(vec![0, 1, 2, 0, 1]), people(&["Alice", "Bob", "Carol"]));
    let plain = arrow::compute::cast(&encoded, people(&[]).data_type()).unwrap();
    let columns = [("dict_struct", encoded, false), ("plain_struct", plain, false)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    context.register_batch("dict_struct_table", batch).unwrap();
    let keys = UInt32Array::from(vec![Some(0), None, Some(1), None]);
    let columns = [("ds", dictionary(keys, people(&["X", "Y"])), true)];
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    context.register_batch("dict_struct_nullable", batch).unwrap();
}
