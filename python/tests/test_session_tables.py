"""What can be registered as a table, and what is copied."""

from __future__ import annotations

import decimal

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest


def addresses(table: pa.Table, column: str) -> list[int]:
    """Return the address of the values of each chunk."""
    return [chunk.buffers()[1].address + chunk.offset * 8 for chunk in table[column].chunks]


FRAMES = {
    "pyarrow table": lambda: pa.table({"a": [1, 2, 3], "s": ["x", None, "z"]}),
    "pyarrow batch": lambda: pa.record_batch({"a": [1, 2, 3], "s": ["x", None, "z"]}),
    "pyarrow reader": lambda: pa.table({"a": [1, 2, 3], "s": ["x", None, "z"]}).to_reader(max_chunksize=1),
    "polars": lambda: pl.DataFrame({"a": [1, 2, 3], "s": ["x", None, "z"]}),
    "pandas": lambda: pd.DataFrame({"a": [1, 2, 3], "s": ["x", None, "z"]}, index=[7, 8, 9]),
    "pandas objects": lambda: pd.DataFrame({"a": [1, 2, 3], "s": pd.Series(["x", None, "z"], dtype=object)}),
    "dict of lists": lambda: {"a": [1, 2, 3], "s": pa.array(["x", None, "z"])},
    "dict of series": lambda: {"a": pd.Series([1, 2, 3]), "s": pl.Series(["x", None, "z"])},
    "dict of arrays": lambda: {
        "a": np.array([1, 2, 3]),
        "s": np.ma.array(["x", "?", "z"], mask=[False, True, False]),
    },
}


@pytest.mark.parametrize("make", FRAMES.values(), ids=FRAMES.keys())
def test_frames_have_their_rows(session, make):
    session.register("t", make())
    query = session.sql("SELECT a, s FROM t WHERE a >= 2")
    assert query.columns == ["a", "s"]
    assert query.to_arrow().to_pydict() == {"a": [2, 3], "s": [None, "z"]}


@pytest.mark.parametrize("extension", ["parquet", "csv", "arrow"])
def test_files_have_their_rows(session, tmp_path, extension):
    frame = pl.DataFrame({"a": [1, 2, 3]})
    write = {"parquet": frame.write_parquet, "csv": frame.write_csv, "arrow": frame.write_ipc}[extension]
    write(tmp_path / f"one.{extension}")
    for name, path in {
        "one": tmp_path / f"one.{extension}",
        "folder": str(tmp_path),
        "pattern": f"{tmp_path}/*.{extension}",
        "url": f"file://{tmp_path}/one.{extension}",
    }.items():
        session.register(name, path)
        assert session.sql(f'SELECT sum(a) AS a FROM "{name}"').to_numpy()["a"] == [6]


def test_a_query_can_be_a_table(session):
    session.register("t", session.sql("SELECT x FROM rows WHERE x <= 100000"))
    assert session.sql("SELECT sum(x) AS s FROM t").to_numpy()["s"] == [5_000_050_000]


def test_a_structured_array_is_a_table(session):
    session.register("t", np.array([(1, 2.5), (2, 3.5)], dtype=[("a", "i4"), ("b", "f8")]))
    assert session.sql("SELECT a, b FROM t").to_arrow().to_pydict() == {"a": [1, 2], "b": [2.5, 3.5]}


NUMBERS = ["bool", *(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)), "float16", "float32", "float64"]
TIMES = ["datetime64[D]", *(f"{kind}64[{unit}]" for kind in ("datetime", "timedelta") for unit in ("s", "ms", "us", "ns"))]


@pytest.mark.parametrize("dtype", NUMBERS + TIMES)
@pytest.mark.parametrize("order", ["contiguous", "reversed", "strided", "swapped"])
@pytest.mark.parametrize("masked", [False, True])
def test_numpy_arrays_come_back(session, dtype, order, masked):
    # Several partitions, with a number of rows that is no multiple of 8.
    values = (np.arange(100_003) % 10_007).astype(dtype)
    values = {
        "contiguous": lambda: values,
        "reversed": lambda: values[::-1],
        "strided": lambda: np.repeat(values, 3)[1::3],
        "swapped": lambda: values.astype(values.dtype.newbyteorder(">")),
    }[order]()
    if masked:
        values = np.ma.array(values, mask=np.arange(len(values)) % 5 == 2)
    session.register("t", {"a": values})
    back = session.sql("SELECT a FROM t").to_numpy()["a"]
    assert back.dtype == np.dtype(dtype)
    assert isinstance(back, np.ma.MaskedArray) == masked
    assert back.shape == values.shape
    if masked:
        np.testing.assert_array_equal(np.ma.getmaskarray(back), np.ma.getmaskarray(values))
        np.testing.assert_array_equal(back.compressed(), values.compressed())
    else:
        np.testing.assert_array_equal(back, values)


def test_missing_values_of_pandas_are_null(session):
    values = [1.0, np.nan]
    for data, count in [(pd.DataFrame({"A": values}), 1), ({"A": pd.Series(values)}, 1), ({"A": np.array(values)}, 2)]:
        session.register("t", data)
        assert session.sql('SELECT count("A") AS n FROM t').to_numpy()["n"] == [count]


def test_not_a_time_is_null(session):
    session.register("t", {"a": np.array(["2020-02-03", "NaT"], "M8[D]"), "b": np.array(["NaT", 5], "m8[s]")})
    found = session.sql("SELECT count(a) AS a, count(b) AS b, max(a) AS d FROM t").to_numpy()
    assert (found["a"], found["b"], found["d"]) == ([1], [1], [np.datetime64("2020-02-03")])


@pytest.mark.parametrize("unit,days", [("Y", 366), ("M", 31), ("W", 7)])
def test_long_units_become_days(session, unit, days):
    # 1972 and January 1970.
    session.register("t", {"a": np.array([2 if unit == "Y" else 0, 3 if unit == "Y" else 1], f"M8[{unit}]")})
    first, second = session.sql("SELECT a FROM t").to_numpy()["a"]
    assert second - first == np.timedelta64(days, "D")


def test_texts_and_bytes_of_numpy(session):
    session.register(
        "t",
        {
            "u": np.array(["ä", "bb"]),
            "v": np.array(["longer than twelve bytes", ""], dtype=np.dtypes.StringDType()),
            "s": np.array([b"x", b"yy"]),
        },
    )
    found = session.sql("SELECT u, v, s FROM t").to_numpy()
    assert {name: list(values) for name, values in found.items()} == {
        "u": ["ä", "bb"],
        "v": ["longer than twelve bytes", ""],
        "s": [b"x", b"yy"],
    }


def test_an_empty_table_has_columns(session):
    arrow = pa.table({"a": pa.array([], pa.float64())})
    for empty in ({"a": np.array([], float)}, arrow, pl.DataFrame(arrow), pd.DataFrame({"a": [0.5]})[:0]):
        session.register("t", empty)
        query = session.sql("SELECT a, 2 * a AS b FROM t")
        assert query.schema == [("a", "Float64"), ("b", "Float64")]
        assert query.count() == 0
        assert query.to_polars().schema == {"a": pl.Float64, "b": pl.Float64}
        assert query.to_arrow().shape == (0, 2)
        assert [values.shape for values in query.to_numpy().values()] == [(0,), (0,)]
        assert list(query.to_pandas().columns) == ["a", "b"]
        assert list(query.batches()) == []


ARROW = [
    pa.nulls(3),
    pa.array([True, None]),
    pa.array([0.5, None], pa.float16()),
    pa.array([1, None], pa.date64()),
    pa.array([1, None], pa.time32("ms")),
    pa.array([1, None], pa.timestamp("us", tz="Europe/Berlin")),
    pa.array([(1, 2, 3), None], pa.month_day_nano_interval()),
    pa.array(["a", None], pa.large_string()),
    pa.array(["longer than twelve bytes", None], pa.string_view()),
    pa.array([b"abc", None], pa.binary_view()),
    pa.array([b"abc", None], pa.binary(3)),
    pa.array([decimal.Decimal("1.25"), None], pa.decimal64(5, 2)),
    pa.array([decimal.Decimal("1.25"), None], pa.decimal256(50, 3)),
    pa.array([[1, 2], None], pa.list_(pa.int32())),
    pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2)),
    pa.array([[1, 2], None], pa.list_view(pa.int8())),
    pa.array([{"a": 1, "b": "x"}, None]),
    pa.array([[("key", 1)], None], pa.map_(pa.string(), pa.int8())),
    pa.array(["a", None, "a"]).dictionary_encode(),
    pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array([5, None])),
    pa.UnionArray.from_sparse(pa.array([0, 0], pa.int8()), [pa.array([1, 2])], ["a"]),
    pa.array([b"0123456789abcdef", None], pa.uuid()),
]


@pytest.mark.parametrize("values", ARROW, ids=[str(values.type) for values in ARROW])
def test_arrow_types_come_back(session, values):
    for array in (values, values[1:]):
        session.register("t", pa.table({"a": array}))
        query = session.sql("SELECT a FROM t")
        for back in (query.to_arrow(), pa.RecordBatchReader.from_stream(query).read_all()):
            assert back["a"].type == array.type
            assert back["a"].to_pylist() == array.to_pylist()
        assert query._repr_html_().count("<tr>") == 1 + len(array)


def test_what_polars_cannot_hold(session):
    session.register("t", pa.table({"a": pa.array([[1, 2]], pa.list_view(pa.int8()))}))
    with pytest.raises(TypeError, match=r"Polars has no type for a column of a ListView\(Int8\)"):
        session.sql("SELECT a FROM t").to_polars()


def test_changes_after_registration_are_not_seen(session):
    array, frame = np.arange(100.0), pd.DataFrame({"a": np.arange(100.0)})
    series = frame["a"].copy()
    session.register("arrays", {"a": array})
    session.register("frame", frame)
    session.register("series", {"a": series})
    array[:] = -1
    frame.loc[:, "a"] = -1
    series[:] = -1
    for table in ("arrays", "frame", "series"):
        assert session.sql(f"SELECT sum(a) AS s FROM {table}").to_numpy()["s"] == [4950]


def test_arrow_memory_is_passed_through(session):
    # Slices, so that offsets count, and several partitions.
    for source in (pa.table({"a": np.arange(200_001.0)}).slice(1), pl.DataFrame({"a": np.arange(200_001.0)})[1:]):
        session.register("t", source)
        (begin,) = addresses(source if isinstance(source, pa.Table) else source.to_arrow(), "a")
        back = session.sql("SELECT a FROM t").to_arrow()
        assert back["a"].to_pylist() == list(range(1, 200_001))
        assert all(begin <= address < begin + 200_000 * 8 for address in addresses(back, "a"))


def test_arrays_without_a_copy(session):
    array = np.arange(200_000.0)
    for may_copy in (True, False):
        session.register("t", {"a": array}, copy=may_copy)
        begin = array.ctypes.data
        first = addresses(session.sql("SELECT a FROM t").to_arrow(), "a")[0]
        assert (begin <= first < begin + array.nbytes) == (not may_copy)


def test_a_table_outlives_its_source(session):
    array = np.arange(300_000.0)
    session.register("t", {"a": array}, copy=False)
    query = session.sql("SELECT a FROM t")
    stream = iter(query.batches())
    first = next(stream)
    del array, query
    session.register("t", {"a": [1.0]})
    assert first.to_numpy()["a"][0] + sum(len(batch) for batch in stream) >= 0
    assert session.sql("SELECT a FROM t").to_numpy()["a"] == [1.0]


def test_a_query_keeps_the_table_that_it_was_planned_with(session):
    session.register("t", {"a": [1]})
    query = session.sql("SELECT a FROM t")
    session.register("t", {"a": [2]})
    assert query.to_numpy()["a"] == [1]
    assert session.sql("SELECT a FROM t").to_numpy()["a"] == [2]
