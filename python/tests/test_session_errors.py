"""Exceptions: their types, and the sentences in them."""

from __future__ import annotations

import ctypes
import sys

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import warpframe as wf


def test_settings_are_checked():
    for keywords, message in [
        ({"threads": 0}, "threads must be from 1 to 4096, not 0"),
        ({"batch_size": -1}, "batch_size must be from 1 to"),
        ({"memory_limit": "lots"}, "memory_limit must be a size such as 512MiB or 2GiB, a percentage of the memory such as 50%, or none, not 'lots'"),
        ({"memory_limit": 0}, "memory_limit must be from 1"),
        ({"backend": "fpga"}, "there is no backend 'fpga': use one of auto"),
        ({"cluster": "http://host"}, "df://"),
        ({"token_file": "t"}, "cluster_wait, token_file, tls_cert, tls_key and tls_ca go with cluster"),
        ({"tls_ca": "ca.pem"}, "cluster_wait, token_file, tls_cert, tls_key and tls_ca go with cluster"),
        ({"tls_ca": "ca.pem", "cluster": "df://127.0.0.1:1"}, "TLS takes three files"),
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


def test_memory_limits():
    for limit in ("1048576", "2 MiB", "1.5MiB", "3GB", "50%", "none", np.int64(1 << 20), None):
        with wf.Session(memory_limit=limit) as session:
            assert session.sql("SELECT 1 AS one").to_numpy()["one"] == [1]
    for limit in ("", "MiB", "-1", "nan", "1e400", "1PiB", "0%"):
        with pytest.raises(ValueError, match="memory_limit"):
            wf.Session(memory_limit=limit)


@pytest.mark.parametrize(
    "query,message",
    [
        (
            "SELECT nothing FROM rows",
            "there is no column 'nothing': use one of .*, at line 1, column 8\n  SELECT nothing FROM rows\n         \\^",
        ),
        ("SELECT\n  1 +", "at line 2, column 6"),
        ("SELECT * FROM nowhere", "table 'nowhere' not found"),
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
        with pytest.raises(wf.WarpframeError, match=r"^division by zero, in 1 / \(id - 5000\)$"):
            run()
    with pytest.raises(Exception, match="division by zero"):
        pa.RecordBatchReader.from_stream(query).read_all()
    assert issubclass(wf.WarpframeError, RuntimeError)


def test_the_memory_limit_is_kept():
    with wf.Session(memory_limit="2MiB") as session:
        with pytest.raises(MemoryError, match="the memory limit of 2.0 MB is too small for an aggregation"):
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
        (pa.Table.from_arrays([[1], [2]], ["a", "a"]), ValueError, "two columns have the name 'a'"),
        (pd.DataFrame({"fine": [1, 2], "bad": [1, {}]}), TypeError, "column bad with type object"),
        ({"fine": [1, 2], "bad": pd.Series([1, {}])}, TypeError, "^Conversion failed for column bad: "),
        (Wrong(None), TypeError, "no pair of capsules"),
        (Wrong((1, 2)), TypeError, "no capsule with the name 'arrow_schema'"),
        (Wrong(pa.array([1]).__arrow_c_array__()[::-1]), TypeError, "no capsule with the name 'arrow_schema'"),
        (Wrong(pa.array([1]).__arrow_c_array__()), TypeError, "a table is needed"),
        (pa.array([{"a": 1}, None]), ValueError, "rows of this data are null"),
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
    query = session.sql("SELECT a FROM t")
    for capsule in (query.__arrow_c_stream__(), query.__arrow_c_schema__()):
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
