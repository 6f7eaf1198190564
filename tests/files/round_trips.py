"""Writes random Parquet and CSV files with pyarrow, and compares what warpframe has made of them.

    round_trips.py write FOLDER SEED    writes FOLDER/*.parquet, FOLDER/*.csv and FOLDER/*.sql (the columns of a CSV file)
    round_trips.py check FOLDER         compares FOLDER/x.parquet and FOLDER/out/x.parquet, and the same for CSV
"""

import datetime
import decimal
import pathlib
import random
import struct
import sys

import pyarrow as pa
import pyarrow.csv as csv
import pyarrow.parquet as pq

FLOATS = [0.0, -0.0, 1.5, -1e300, 5e-324, -2.2e-308, float("inf"), float("-inf"), float("nan"), 0.1, 2.0**53]
TEXTS = ["", " ", "a", "line\nbreak", "\r\n", 'quo"te', '"', ",", "ß€😀", "NULL", "nan", "1", "a,b\n\"c\"", "\\", "'"]


def values(kind, rows, rng, nulls):
    """Random values of a type."""

    def one():
        if nulls and rng.random() < 0.2:
            return None
        if pa.types.is_boolean(kind):
            return rng.random() < 0.5
        if pa.types.is_integer(kind):
            low, high = (0, 2**kind.bit_width - 1) if "uint" in str(kind) else (-(2 ** (kind.bit_width - 1)), 2 ** (kind.bit_width - 1) - 1)
            return rng.choice([low, high, 0, rng.randint(low, high)])
        if pa.types.is_floating(kind):
            value = rng.choice(FLOATS + [rng.uniform(-1, 1)])
            if kind == pa.float64():
                return value
            if abs(value) < 3e38 or value in (float("inf"), float("-inf")):
                return struct.unpack("f", struct.pack("f", value))[0]
            return float("nan") if value != value else 1.0
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return rng.choice(TEXTS + ["".join(rng.choice("ab,\"\n é") for _ in range(rng.randint(0, 9)))])
        if pa.types.is_fixed_size_binary(kind):
            return rng.randbytes(kind.byte_width)
        if pa.types.is_binary(kind):
            return rng.randbytes(rng.randint(0, 5))
        if pa.types.is_decimal(kind):
            return decimal.Decimal(rng.randint(-(10**kind.precision) + 1, 10**kind.precision - 1)).scaleb(-kind.scale)
        if pa.types.is_date(kind):
            return datetime.date(1, 1, 1) + datetime.timedelta(days=rng.randint(0, 3_000_000))
        if pa.types.is_timestamp(kind):
            return rng.randint(-(10**9), 4 * 10**9) * {"s": 1, "ms": 1000, "us": 10**6, "ns": 10**9}[kind.unit]
        if pa.types.is_time(kind):
            return rng.randint(0, 86_399) * (1000 if kind.unit == "ms" else 10**6)
        if pa.types.is_list(kind):
            return values(kind.value_type, rng.randint(0, 3), rng, True).to_pylist()
        if pa.types.is_struct(kind):
            return {field.name: values(field.type, 1, rng, True)[0].as_py() for field in kind}
        if pa.types.is_map(kind):
            return [(f"k{key}", rng.randint(0, 9)) for key in range(rng.randint(0, 3))]
        raise TypeError(kind)

    return pa.array([one() for _ in range(rows)], kind)


SIMPLE = [pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(),
          pa.float32(), pa.float64(), pa.string(), pa.large_string(), pa.binary(), pa.binary(5), pa.date32(),
          pa.decimal128(9, 2), pa.decimal128(38, 10), pa.timestamp("ms"), pa.timestamp("us", "UTC"), pa.timestamp("ns"),
          pa.time32("ms"), pa.time64("us")]
NESTED = [pa.list_(pa.int32()), pa.list_(pa.string()), pa.struct([("a", pa.int64()), ("b", pa.string())]),
          pa.map_(pa.string(), pa.int32()), pa.list_(pa.struct([("x", pa.float64())]))]
ENCODINGS = {"int32": ["PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"], "int64": ["PLAIN", "DELTA_BINARY_PACKED", "BYTE_STREAM_SPLIT"],
             "string": ["PLAIN", "DELTA_LENGTH_BYTE_ARRAY", "DELTA_BYTE_ARRAY"], "double": ["PLAIN", "BYTE_STREAM_SPLIT"],
             "float": ["PLAIN", "BYTE_STREAM_SPLIT"], "bool": ["PLAIN", "RLE"]}
CODECS = ["none", "snappy", "gzip", "brotli", "zstd", "lz4"]


def write(folder, rng):
    for number in range(24):
        rows = rng.choice([0, 1, 7, 300, 2000])
        kinds = rng.sample(SIMPLE, 7) + rng.sample(NESTED, 2)
        names = [f"c{position}" for position in range(len(kinds))]
        table = pa.table([values(kind, rows, rng, rng.random() < 0.7) for kind in kinds], names)
        version, codec = rng.choice(["1.0", "2.0"]), CODECS[number % len(CODECS)]
        options = dict(compression=codec, data_page_version=version, row_group_size=rng.choice([1, 100, 10**6]),
                       data_page_size=rng.choice([64, 1024, 10**6]), write_page_index=rng.random() < 0.5,
                       use_deprecated_int96_timestamps=number % 8 == 3 and pa.timestamp("us", "UTC") not in kinds)
        if number % 2:
            options["use_dictionary"] = True
        else:
            encodings = {name: rng.choice(ENCODINGS[str(kind)]) for name, kind in zip(names, kinds) if str(kind) in ENCODINGS}
            options.update(use_dictionary=False, column_encoding=encodings)
        with pq.ParquetWriter(folder / f"{number:02}.parquet", table.schema, **{k: v for k, v in options.items() if k != "row_group_size"}) as writer:
            if number % 5 != 4:
                # Row groups without rows, too.
                writer.write_table(table.slice(0, 0))
                writer.write_table(table, row_group_size=options["row_group_size"])
    for number in range(12):
        rows = rng.choice([1, 5, 500])
        sql = {"id": ("BIGINT", pa.int64()), "s": ("VARCHAR", pa.string()), "x": ("DOUBLE", pa.float64()), "t": ("VARCHAR", pa.string()),
               "b": ("BOOLEAN", pa.bool_()), "d": ("DATE", pa.date32()), "f": ("REAL", pa.float32())}
        columns = {name: values(kind, rows, rng, name != "id") for name, (_, kind) in sql.items()}
        table = pa.table(columns, schema=pa.schema([(name, kind) for name, (_, kind) in sql.items()]))
        csv.write_csv(table, folder / f"{number:02}.csv")
        pq.write_table(table, folder / f"{number:02}.expected")
        (folder / f"{number:02}.sql").write_text(", ".join(f"{name} {kind}" for name, (kind, _) in sql.items()))


def bits(value):
    """A value that is equal to another one only if the bits are: NaN equals NaN, and -0.0 is not 0.0."""
    if isinstance(value, float):
        return "nan" if value != value else struct.pack("d", value)
    if isinstance(value, dict):
        return {key: bits(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [bits(item) for item in value]
    return value


def column_values(column):
    # Nanoseconds and dates far away have no Python value.
    if pa.types.is_timestamp(column.type):
        column = column.cast(pa.int64())
    return bits(column.to_pylist())


def compare(name, expected, found):
    for position, (one, other) in enumerate(zip(expected.schema, found.schema)):
        # pyarrow reads INT96 as nanoseconds, whatever was written.
        if pa.types.is_timestamp(one.type) and pa.types.is_timestamp(other.type) and one.type.unit == "ns":
            found = found.set_column(position, one, found[position].cast(one.type))
    if expected.schema.names != found.schema.names or expected.schema.types != found.schema.types:
        sys.exit(f"{name}: the columns are {found.schema}, not {expected.schema}")
    for column in expected.schema.names:
        one, other = column_values(expected[column]), column_values(found[column])
        if one != other:
            row = next((row for row, pair in enumerate(zip(one, other)) if pair[0] != pair[1]), min(len(one), len(other)))
            sys.exit(f"{name}: row {row} of {column} ({expected[column].type}) is {other[row:row + 1]}, not {one[row:row + 1]}")


def check(folder):
    for file in sorted(folder.glob("*.parquet")):
        compare(file.name, pq.read_table(file, partitioning=None), pq.read_table(folder / "out" / file.name, partitioning=None))
    for file in sorted(folder.glob("*.csv")):
        expected = pq.read_table(file.with_suffix(".expected"))
        convert = csv.ConvertOptions(column_types=expected.schema, null_values=[""], strings_can_be_null=True,
                                     quoted_strings_can_be_null=False)
        parse = csv.ParseOptions(newlines_in_values=True)
        compare(file.name, expected, csv.read_csv(folder / "out" / file.name, convert_options=convert, parse_options=parse))


if __name__ == "__main__":
    action, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    if action == "write":
        write(folder, random.Random(int(sys.argv[3])))
    else:
        check(folder)
