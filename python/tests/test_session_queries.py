"""Results of queries, statements, and the examples in the documentation."""

from __future__ import annotations

import datetime
import decimal
import doctest
import importlib
import time

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import warpframe as wf


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
    query = session.sql("SELECT f(7, 2) AS r")
    assert (query.schema, query.to_numpy()["r"]) == ([("r", "Int64")], [14])
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


@pytest.mark.parametrize("module", ["_session", "_query", "_progress"])
def test_examples(module):
    options = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
    found = doctest.testmod(importlib.import_module(f"warpframe.{module}"), optionflags=options)
    assert found.attempted > 0 and found.failed == 0
