"""Sessions and queries, through the public names of the package."""

from __future__ import annotations

import copy
import ctypes
import datetime
import decimal
import doctest
import importlib
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import warpframe as wf

# Queries that take days.
ENDLESS = "SELECT sum(sin(x)) AS n FROM generate_rows(1000000000000)"
ENDLESS_FILTER = "SELECT x FROM generate_rows(1000000000000) WHERE sin(x) > 2"


@pytest.fixture
def session():
    with wf.Session(threads=3) as session:
        yield session


def run_python(code: str) -> str:
    """Run code in another interpreter and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def addresses(table: pa.Table, column: str) -> list[int]:
    """Return the address of the values of each chunk."""
    return [chunk.buffers()[1].address + chunk.offset * 8 for chunk in table[column].chunks]


# ---- What can be registered ----


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


NUMBERS = ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float16", "float32", "float64"]
TIMES = [f"{kind}[{unit}]" for kind in ("datetime64", "timedelta64") for unit in ("s", "ms", "us", "ns")] + ["datetime64[D]"]


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
    for empty in ({"a": np.array([], float)}, pl.DataFrame({"a": []}, schema={"a": pl.Float64}), pd.DataFrame({"a": [0.5]})[:0]):
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


# ---- Copies ----


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


# ---- Results ----


def test_rows_keep_the_order_of_the_table(session):
    array = np.random.default_rng(1).random(500_000)
    session.register("t", {"a": array})
    query = session.sql("SELECT sqrt(a) * sqrt(a) AS r FROM t WHERE a > 0.25")
    np.testing.assert_allclose(query.to_numpy()["r"], array[array > 0.25], rtol=1e-14)
    assert query.to_polars()["r"].to_list() == query.to_numpy()["r"].tolist()


def test_types_of_results(session):
    found = session.sql(
        """
        SELECT 1.25::DECIMAL(10, 3) AS decimal, 'x' AS text, X'00ff' AS bytes, NULL AS nothing, true AS yes,
            arrow_cast('t', 'Dictionary(Int8, Utf8)') AS dictionary, arrow_cast('v', 'Utf8View') AS view,
            TIME '01:02:03' AS time, arrow_cast(arrow_cast(5, 'Int32'), 'Time32(Second)') AS seconds,
            TIMESTAMP '2020-01-02T03:04:05Z' AS stamp, DATE '1969-12-31' AS date
        """
    ).to_numpy()
    assert found["decimal"][0] == decimal.Decimal("1.250")
    assert (found["text"][0], found["bytes"][0], found["nothing"][0]) == ("x", b"\0\xff", None)
    assert (found["yes"].dtype, found["yes"][0]) == (np.bool_, True)
    assert (found["dictionary"][0], found["view"][0]) == ("t", "v")
    assert found["time"][0] == np.timedelta64(3723, "s")
    assert found["seconds"].dtype == "m8[s]" and found["seconds"][0] == np.timedelta64(5, "s")
    assert found["stamp"][0] == np.datetime64("2020-01-02T03:04:05")
    assert found["date"][0].item() == datetime.date(1969, 12, 31)


def test_nulls_of_objects_are_none(session):
    session.register("t", pa.table({"s": ["a", None], "d": pa.array([None, decimal.Decimal("1.5")])}))
    found = session.sql("SELECT s, d FROM t").to_numpy()
    assert found["s"].tolist() == ["a", None]
    assert found["d"].tolist() == [None, decimal.Decimal("1.5")]


def test_results_can_be_changed(session):
    session.register("t", {"a": [1.0, 2.0]})
    query = session.sql("SELECT a FROM t")
    query.to_numpy()["a"][:] = 0
    assert query.to_numpy()["a"].tolist() == [1.0, 2.0]


def test_what_numpy_cannot_hold(session):
    with pytest.raises(TypeError, match=r"the column 'l' of type List\(.*\): use to_arrow\(\)"):
        session.sql("SELECT [1, 2] AS l").to_numpy()
    with pytest.raises(ValueError, match="two columns have the name 'x'"):
        session.sql("SELECT a.x, b.x FROM rows AS a JOIN rows AS b ON a.x = b.x LIMIT 1").to_numpy()


def test_other_packages_pull_batches(session):
    query = session.sql("SELECT id, x FROM rows WHERE x <= 50000")
    assert pa.schema(query).names == ["id", "x"]
    assert sorted(pl.DataFrame(query)["x"]) == [float(x) for x in range(1, 50_001)]
    reader = pa.RecordBatchReader.from_stream(query)
    assert sum(batch.num_rows for batch in reader) == 50_000


def test_batches_are_those_of_other_packages(session):
    total = 0
    for batch in session.sql("SELECT x FROM rows WHERE x <= 30000").batches():
        arrow = batch.to_arrow()
        assert isinstance(arrow, pa.RecordBatch) and len(batch) == arrow.num_rows
        assert pa.record_batch(batch) == arrow
        np.testing.assert_array_equal(batch.to_numpy()["x"], arrow["x"].to_numpy())
        assert batch.to_polars()["x"].to_list() == arrow["x"].to_pylist() == batch.to_pandas()["x"].to_list()
        total += len(batch)
    assert total == 30_000


@pytest.mark.parametrize("pull", [lambda q: iter(q.batches()), lambda q: pa.RecordBatchReader.from_stream(q)])
def test_the_first_batch_does_not_wait_for_the_last(session, pull):
    endless = session.sql("SELECT a.x + b.x AS s FROM rows AS a CROSS JOIN rows AS b")
    start = time.monotonic()
    stream = pull(endless)
    assert len(next(stream)) > 0
    del stream
    assert time.monotonic() - start < 20
    # Its threads are free again.
    assert session.sql("SELECT 1 AS a").count() == 1


def test_repr_shows_the_columns(session):
    query = session.sql("SELECT x, id AS number FROM rows")
    assert repr(query) == "<warpframe.Query>\n  x       Float64\n  number  Int64"
    page = query._repr_html_()
    assert page.count("<tr>") == 11 and "the first 10 rows" in page
    page = session.sql("SELECT '<b>' AS \"a&b\", NULL AS n")._repr_html_()
    assert "<td>&lt;b&gt;</td><td>NULL</td>" in page and "a&amp;b" in page and "1 row<" in page


def test_explain_shows_the_backend():
    with wf.Session(backend="simd") as session:
        query = session.sql("SELECT ln(x) * ln(y) AS r FROM rows")
        assert "fused(ln(x) * ln(y))[simd" in query.explain()
        verbose = session.sql("SELECT x + 1 AS r FROM rows").explain(verbose=True)
        assert "fuse: not fused" in verbose
        assert "output_rows=" in session.sql("SELECT sum(x) FROM rows").explain(analyze=True)
    with wf.Session(fuse=False) as session:
        assert "fused(" not in session.sql("SELECT ln(x) * ln(y) AS r FROM rows").explain()


# ---- Statements ----


def test_statements_take_effect_at_once(session, tmp_path):
    session.sql("CREATE TABLE t AS SELECT 1 AS a")
    session.sql("INSERT INTO t VALUES (2), (3)")
    assert session.sql("SELECT sum(a) AS s FROM t").to_numpy()["s"] == [6]
    session.sql("SET datafusion.execution.batch_size = 17")
    assert session.sql("SHOW datafusion.execution.batch_size").to_arrow()["value"].to_pylist() == ["17"]
    assert session.sql(f"COPY t TO '{tmp_path}/t.parquet'").to_arrow().to_pydict() == {"count": [3]}
    assert pq.read_table(tmp_path / "t.parquet").num_rows == 3
    assert session.sql("DROP TABLE t").schema == []
    assert session.tables() == ["rows"]


def test_a_script_runs_in_order(session):
    session.execute("CREATE TABLE a AS SELECT 1 AS x; CREATE VIEW b AS SELECT x + 1 AS x FROM a; CREATE SCHEMA s")
    session.execute("CREATE TABLE s.c AS SELECT 1 AS x")
    assert session.tables() == ["a", "b", "rows", "s.c"]
    assert session.sql("SELECT x FROM b").to_numpy()["x"] == [2]
    session.deregister("a")
    assert session.tables() == ["b", "rows", "s.c"]
    with pytest.raises(ValueError, match="there is no table 'a'"):
        session.deregister("a")


def test_functions_are_created_and_replaced(session):
    session.create_function("f", ["a", "b"], "a - b")
    session.create_function("F", {"a": "BIGINT", "b": "BIGINT"}, "a * b")
    assert session.sql("SELECT f(7, 2) AS r, arrow_typeof(f(7, 2)) AS t").to_arrow().to_pylist() == [{"r": 14, "t": "Int64"}]
    for arguments, error, message in [
        (("f", "ab", "a"), TypeError, "parameters must be a list of names, not str"),
        (("f", ["a", 1], "a"), TypeError, "a parameter must be a str, not int"),
        (("f", ["a", "a"], "a"), ValueError, "two parameters have one name"),
        (("f", ["a b"], "a"), ValueError, "a parameter must consist of letters, digits and '_', not 'a b'"),
        (("f()", ["a"], "a"), ValueError, "the name of a function must consist of"),
        (("sqrt", ["a"], "a"), ValueError, "there is a built-in function of this name"),
        (("f", ["a"], "a; DROP TABLE rows"), ValueError, "there is more than one statement"),
        (("f", ["a"], "c"), ValueError, "c"),
        (("f", ["a"], ""), ValueError, "the expression is empty"),
    ]:
        with pytest.raises(error, match=message):
            session.create_function(*arguments)
    assert session.tables() == ["rows"]


# ---- Outputs ----


def test_a_query_is_written_in_order(session, tmp_path):
    session.register("t", {"a": np.arange(200_000)})
    query = session.sql("SELECT a FROM t WHERE a % 2 = 0")
    written = query.write_parquet(tmp_path / "one.parquet", compression="zstd", row_group_rows=30_000)
    file = pq.ParquetFile(tmp_path / "one.parquet")
    assert (written.rows, written.files) == (100_000, 1)
    assert max(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)) == 30_000
    assert written.bytes == (tmp_path / "one.parquet").stat().st_size
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert file.read()["a"].to_pylist() == list(range(0, 200_000, 2))
    assert query.write_parquet(tmp_path / "folder").files == len(os.listdir(tmp_path / "folder")) == 3
    with pytest.raises(FileExistsError, match="one.parquet"):
        query.write_parquet(tmp_path / "one.parquet")
    assert session.sql("SELECT 1 AS b").write_parquet(tmp_path / "one.parquet", overwrite=True).rows == 1
    with pytest.raises(OSError, match="there is no folder"):
        query.write_parquet(tmp_path / "missing" / "one.parquet")
    with pytest.raises(ValueError, match="there is no compression 'brotli': use one of none, snappy"):
        query.write_parquet(tmp_path / "two.parquet", compression="brotli")


def test_a_failed_query_writes_nothing(session, tmp_path):
    with pytest.raises(wf.WarpframeError, match="division by zero"):
        session.sql("SELECT 1 / (id - 100000) AS q FROM rows").write_parquet(tmp_path / "out.parquet")
    assert os.listdir(tmp_path) == []


@pytest.fixture
def inputs(tmp_path):
    """Four Parquet files of 1,000 rows."""
    (tmp_path / "data").mkdir()
    for part in range(4):
        ids = np.arange(part * 1000, part * 1000 + 1000)
        pq.write_table(pa.table({"id": ids, "x": ids * 0.5}), tmp_path / "data" / f"{part}.parquet")
    return tmp_path / "data"


def test_a_run_has_the_functions_and_tables_of_the_session(session, inputs, tmp_path):
    session.sql("CREATE FUNCTION twice(a DOUBLE) RETURNS DOUBLE RETURN 2 * a")
    session.register("few", {"id": [5, 7]})
    session.register("input", {"other": [1]})
    written = session.run(
        f"{inputs}/*.parquet",
        select="id, thrice(twice(x)) AS y",
        where="id IN (SELECT id FROM few) OR id >= 3998",
        init="CREATE FUNCTION thrice(a DOUBLE) RETURNS DOUBLE RETURN 3 * a; CREATE TABLE new AS SELECT 1 AS a",
        out=tmp_path / "out.parquet",
        progress=False,
    )
    assert (written.rows, written.files) == (4, 1) and written.seconds > 0
    assert pq.read_table(tmp_path / "out.parquet").to_pydict() == {"id": [5, 7, 3998, 3999], "y": [15.0, 21.0, 11994.0, 11997.0]}
    # The session is as before.
    assert session.tables() == ["few", "input", "rows"]
    assert session.sql("SELECT * FROM input").columns == ["other"]
    with pytest.raises(ValueError, match="thrice"):
        session.sql("SELECT thrice(1.0)")


def test_what_a_run_reports(session, inputs, tmp_path, capfd):
    arguments = {"select": "id", "out": tmp_path / "out", "progress": False}
    session.run(inputs, **arguments)
    with pytest.raises(FileExistsError, match="out"):
        session.run(inputs, **arguments)
    assert session.run(inputs, **arguments, overwrite=True).rows == 4000
    with pytest.raises(FileNotFoundError, match="no file matches"):
        session.run(inputs / "*.nothing", **arguments)
    with pytest.raises(ValueError, match="there is no column 'z': use one of id, x"):
        session.run(inputs, **{**arguments, "select": "z"})
    with pytest.raises(ValueError, match="an SQL statement"):
        session.run(inputs, **arguments, init="NONSENSE")
    with pytest.raises(wf.WarpframeError, match="division by zero"):
        session.run(inputs, **{**arguments, "select": "1 / (id - 3000) AS q", "out": tmp_path / "failed"})
    assert sorted(os.listdir(tmp_path)) == ["data", "out"]
    assert capfd.readouterr().err == ""


def test_progress_of_a_run(session, inputs, tmp_path):
    seen = []

    def stop(done, rows):
        seen.append((done, rows))
        raise LookupError("enough")

    # The subquery does not end, so that there is time to be called.
    with pytest.raises(LookupError, match="enough"):
        session.run(inputs, select=f"id, ({ENDLESS}) AS n", out=tmp_path / "out", progress=stop)
    assert len(seen) == 1 and 0 <= seen[0][0] <= seen[0][1] == 4000
    assert os.listdir(tmp_path) == ["data"]


def test_the_bar_of_a_run(monkeypatch):
    progress = importlib.import_module("warpframe._progress")

    class Terminal:
        text = ""

        def isatty(self):
            return True

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = progress.ProgressBar()
    bar(1, 4)
    bar(2, 4)  # Too soon after the other.
    assert terminal.text.startswith("\r########........................  25%  1 of 4 rows")
    assert "50%" not in terminal.text
    bar.clear()
    assert terminal.text.endswith(" \r")


# ---- Ctrl-C ----


def interrupted(action) -> float:
    """Return the seconds between the signal and the exception."""
    sent = []

    def send():
        sent.append(time.monotonic())
        signal.raise_signal(signal.SIGINT)

    timer = threading.Timer(0.3, send)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        action()
    timer.join()
    return time.monotonic() - sent[0]


@pytest.mark.parametrize("method", ["to_arrow", "to_numpy", "count", "batches", "explain", "_repr_html_"])
def test_ctrl_c_stops_a_query(session, method):
    query = session.sql(ENDLESS_FILTER)
    action = {
        "batches": lambda: next(iter(query.batches())),
        "explain": lambda: query.explain(analyze=True),
    }.get(method, lambda: getattr(query, method)())
    assert interrupted(action) < 5
    assert session.sql("SELECT 1 AS a").count() == 1


def test_ctrl_c_leaves_no_output(session, inputs, tmp_path):
    assert interrupted(lambda: session.sql(ENDLESS).write_parquet(tmp_path / "query.parquet")) < 5
    assert interrupted(lambda: session.run(inputs, select=f"({ENDLESS}) AS n", out=tmp_path / "run")) < 5
    assert os.listdir(tmp_path) == ["data"]


# ---- Processes and threads ----


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_makes_its_own_session():
    printed = run_python(
        """
        import os, warpframe as wf
        session = wf.Session()
        query = session.sql("SELECT x FROM rows WHERE x <= 5")
        stream = query.batches()
        assert query.count() == 5
        child = os.fork()
        if child == 0:
            for use in (lambda: session.sql("SELECT 1"), query.count, lambda: next(stream), session.close):
                try:
                    use()
                except RuntimeError as error:
                    print(error)
            print(wf.Session().sql("SELECT sum(x) AS s FROM rows WHERE x <= 5").to_numpy())
            del session, query, stream
            raise SystemExit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        print(query.count())
        """
    )
    before = "was made before the process was forked: make a new one in the child process"
    assert printed.splitlines() == [
        f"this Session {before}",
        f"this Query {before}",
        f"this iterator {before}",
        f"this Session {before}",
        "{'s': array([15.])}",
        "5",
    ]


def test_sessions_are_not_pickled(session):
    query = session.sql("SELECT 1 AS a")
    for value, name in ((session, "Session"), (query, "Query")):
        for send in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=f"a {name} cannot be pickled"):
                send(value)


def test_threads_share_a_session(session):
    session.register("t", {"a": np.arange(100_000)})
    query = session.sql("SELECT sum(a) AS s FROM t")
    found, failed = [], []

    def work(number):
        try:
            session.register(f"t{number}", {"a": np.arange(number)})
            found.append((query.to_numpy()["s"][0], session.sql(f"SELECT count(*) AS n FROM t{number}").to_numpy()["n"][0] - number))
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert found == [(4_999_950_000, 0)] * 16


def test_a_query_runs_without_the_gil(session):
    counted = 0
    query = session.sql("SELECT sum(sin(x) * cos(y)) AS s FROM rows")
    thread = threading.Thread(target=query.to_numpy)
    thread.start()
    while thread.is_alive():
        counted += 1
        time.sleep(0.001)
    thread.join()
    assert counted > 10


def test_a_stream_of_python_code_is_read(session):
    schema = pa.schema({"a": pa.int64()})

    def batches(fails):
        for number in range(5):
            yield pa.record_batch({"a": [number]}, schema=schema)
        if fails:
            raise RuntimeError("the source is broken")

    session.register("t", pa.RecordBatchReader.from_batches(schema, batches(False)))
    assert session.sql("SELECT sum(a) AS s FROM t").to_numpy()["s"] == [10]
    with pytest.raises(wf.WarpframeError, match="the source is broken$"):
        session.register("t", pa.RecordBatchReader.from_batches(schema, batches(True)))


def test_importing_starts_no_thread():
    printed = run_python(
        """
        import os, numpy
        before = len(os.listdir("/proc/self/task"))
        import warpframe
        print(len(os.listdir("/proc/self/task")) - before)
        """
    )
    assert printed == "0\n"


# ---- Errors ----


def test_settings_are_checked():
    for keywords, message in [
        ({"threads": 0}, "threads must be from 1 to 4096, not 0"),
        ({"batch_size": -1}, "batch_size must be from 1 to"),
        ({"memory_limit": "lots"}, "memory_limit must be a number of bytes such as '512MiB' or '2GiB', not 'lots'"),
        ({"memory_limit": 0}, "memory_limit must be from 1"),
        ({"backend": "fpga"}, "there is no backend 'fpga': use one of auto"),
        ({"cluster": "host"}, "df://"),
        ({"token_file": "t"}, "cluster_wait and token_file go with cluster"),
    ]:
        with pytest.raises(ValueError, match=message):
            wf.Session(**keywords)
    for keywords, message in [
        ({"threads": 2.0}, "threads must be a whole number, not float"),
        ({"threads": True}, "threads must be a whole number, not bool"),
        ({"backend": 3}, "backend must be a str, not int"),
        ({"memory_limit": 1.5}, "memory_limit must be a whole number, not float"),
    ]:
        with pytest.raises(TypeError, match=message):
            wf.Session(**keywords)


def test_numbers_of_bytes():
    size = importlib.import_module("warpframe._arguments").size
    assert [size("n", text) for text in ("1024", "2 KiB", "1.5MiB", "3GB", "2g", "1TiB")] == [
        1024,
        2048,
        3 << 19,
        3 << 30,
        2 << 30,
        1 << 40,
    ]
    assert size("n", np.int64(7)) == 7
    for text in ("", "MiB", "-1", "nan", "1e400", "1PiB"):
        with pytest.raises(ValueError, match="n must be a number of bytes"):
            size("n", text)


@pytest.mark.parametrize(
    "query,message",
    [
        ("SELECT nothing FROM rows", "there is no column 'nothing': use one of .*, at line 1, column 8\n  SELECT nothing FROM rows\n         \\^"),
        ("SELECT\n  1 +", "at line 2, column 6"),
        ("SELECT * FROM nowhere", "'datafusion.public.nowhere' not found"),
        ("SELECT nothing(1)", "Invalid function 'nothing'"),
        ("SELECT 1; SELECT 2", "there is more than one statement"),
        (";", "there is no statement"),
        (" ", "the query is empty"),
    ],
)
def test_invalid_statements(session, query, message):
    with pytest.raises(ValueError, match=message):
        session.sql(query)


def test_a_row_that_fails(session):
    query = session.sql("SELECT 1 / (id - 5000) AS q FROM rows")
    for run in (query.to_arrow, query.to_numpy, lambda: list(query.batches()), query._repr_html_):
        if run == query._repr_html_:
            assert "<td>0</td>" in run()
            continue
        with pytest.raises(wf.WarpframeError, match="^division by zero$"):
            run()
    with pytest.raises(Exception, match="division by zero"):
        pa.RecordBatchReader.from_stream(query).read_all()
    assert issubclass(wf.WarpframeError, RuntimeError)


def test_the_memory_limit_is_kept():
    with wf.Session(memory_limit="2MiB") as session:
        with pytest.raises(MemoryError, match="the memory limit is too small"):
            session.sql("SELECT array_agg(x) AS l FROM rows").to_arrow()


def test_files_that_cannot_be_read(session, tmp_path):
    for missing in ("nothing.parquet", "*.csv", "."):
        with pytest.raises(FileNotFoundError):
            session.register("t", tmp_path / missing)
    (tmp_path / "damaged.parquet").write_bytes(b"PAR1 this is no Parquet file PAR1")
    with pytest.raises(OSError, match="damaged.parquet"):
        session.register("t", tmp_path / "damaged.parquet")
    (tmp_path / "text.docx").write_text("a")
    with pytest.raises(OSError, match="text.docx"):
        session.register("t", tmp_path / "text.docx")


class Wrong:
    """An object that does not keep to the interface."""

    def __init__(self, returned):
        self.returned = returned

    def __arrow_c_array__(self, requested_schema=None):
        return self.returned


@pytest.mark.parametrize(
    "data,error,message",
    [
        (3, TypeError, "int cannot be registered: pass a path"),
        ([1, 2], TypeError, "list cannot be registered"),
        (np.arange(3), TypeError, r"register\('t', {'x': array}\)"),
        (pl.LazyFrame({"a": [1]}), TypeError, r"LazyFrame is lazy: register\('t', frame.collect\(\)\)"),
        (pl.Series([1]), TypeError, "a table is needed: the data is a single array of Int64"),
        ({"a": np.array([1, "x"], object)}, TypeError, "the column 'a' holds Python objects"),
        ({"a": np.array([1j])}, TypeError, "the column 'a' has the dtype complex128"),
        ({"a": np.longdouble([1])}, TypeError, "the column 'a' has the dtype (float|longdouble)"),
        ({"a": np.array([1], "m8[Y]")}, TypeError, r"the column 'a' has the dtype timedelta64\[Y\]"),
        ({"a": np.array([1], "M8[ps]")}, TypeError, r"the column 'a' has the dtype datetime64\[ps\]"),
        ({"a": np.array([10**10], "M8[D]")}, ValueError, "the column 'a' has a date out of the range"),
        ({"a": np.ones((2, 2))}, ValueError, "the column 'a' has 2 dimensions"),
        ({"a": 5.0}, ValueError, "the column 'a' has 0 dimensions"),
        ({"a": [1], "b": [1, 2]}, ValueError, "different lengths: 'a' has 1 rows, 'b' has 2"),
        ({1: [1]}, TypeError, "the names of columns must be str, not int"),
        ({}, ValueError, "the table has no columns"),
        (pa.table({}), ValueError, "the table has no columns"),
        (pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"]), ValueError, "two columns have the name 'a'"),
        (pd.DataFrame({"fine": [1, 2], "bad": [1, {}]}), TypeError, "column bad with type object"),
        ({"fine": [1, 2], "bad": pd.Series([1, {}])}, TypeError, "^Conversion failed for column bad: "),
        (Wrong(None), TypeError, "no pair of capsules"),
        (Wrong((1, 2)), TypeError, "no capsule with the name 'arrow_schema'"),
        (Wrong(pa.array([1]).__arrow_c_array__()[::-1]), TypeError, "no capsule with the name 'arrow_schema'"),
        (Wrong(pa.array([1]).__arrow_c_array__()), TypeError, "a table is needed"),
        (pa.StructArray.from_arrays([pa.array([1])], ["a"], mask=pa.array([True])), ValueError, "rows of this data are null"),
    ],
)
def test_data_that_is_no_table(session, data, error, message):
    with pytest.raises(error, match=message):
        session.register("t", data)
    assert session.tables() == ["rows"]


def test_capsules_are_consumed_once(session):
    once = Wrong(pa.record_batch({"a": [1]}).__arrow_c_array__())
    session.register("t", once)
    with pytest.raises(ValueError, match="was consumed before"):
        session.register("u", once)
    assert session.sql("SELECT a FROM t").to_numpy()["a"] == [1]


def test_capsules_that_are_not_consumed_are_released(session):
    session.register("t", {"a": np.arange(10)})
    for capsule in (session.sql("SELECT a FROM t").__arrow_c_stream__(), session.sql("SELECT a FROM t").__arrow_c_schema__()):
        name = ctypes.pythonapi.PyCapsule_GetName
        name.restype, name.argtypes = ctypes.c_char_p, [ctypes.py_object]
        assert name(capsule) in (b"arrow_array_stream", b"arrow_schema")
        del capsule


def test_register_takes_a_name(session):
    for arguments, message in [
        (("t",), "only a function made by warpframe.function, not str"),
        ((abs,), "only a function made by warpframe.function, not builtin_function_or_method"),
        ((session.sql("SELECT 1 AS a"),), "not Query"),
        ((3, {"a": [1]}), "the name of a table must be a str, not int"),
    ]:
        with pytest.raises(TypeError, match=message):
            session.register(*arguments)
    with pytest.raises(ValueError, match="the name of a table is empty"):
        session.register("", {"a": [1]})


def test_a_closed_session():
    session = wf.Session()
    query = session.sql("SELECT x FROM rows")
    started = iter(query.batches())
    assert repr(session) == "<warpframe.Session>"
    session.close()
    session.close()
    assert repr(session) == "<warpframe.Session, closed>"
    for use in (
        lambda: session.sql("SELECT 1"),
        lambda: session.register("t", {"a": [1]}),
        lambda: session.register("t", "nothing.parquet"),
        session.tables,
        lambda: session.execute("SELECT 1"),
        lambda: session.create_function("f", ["a"], "a"),
        lambda: session.run("a", select="b", out="c"),
        query.to_numpy,
        query.count,
        query.explain,
        lambda: pa.RecordBatchReader.from_stream(query),
        lambda: query.write_parquet("out.parquet"),
    ):
        with pytest.raises(ValueError, match="^the session is closed$"):
            use()
    # What was started before goes on.
    assert len(next(started)) > 0


def test_missing_packages_are_named(session, monkeypatch):
    session.register("t", {"a": [1]})
    query = session.sql("SELECT a FROM t")
    for package, use in {
        "polars": query.to_polars,
        "pyarrow": query.to_arrow,
        "pandas": query.to_pandas,
    }.items():
        with monkeypatch.context() as patch:
            patch.setitem(sys.modules, package, None)
            with pytest.raises(ImportError, match=f"pip install {package}"):
                use()
            assert query.to_numpy()["a"] == [1]
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(ImportError, match="by means of pyarrow: pip install pyarrow"):
        session.register("p", pd.DataFrame({"a": [1]}))


@pytest.mark.parametrize("module", ["_session", "_query", "_progress"])
def test_examples(module):
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    found = doctest.testmod(importlib.import_module(f"warpframe.{module}"), optionflags=options)
    assert found.attempted > 0 and found.failed == 0
