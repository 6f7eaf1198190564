"""Traced functions in SQL."""

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

import warpframe as wf


@wf.function
def dist(a, b):
    return wf.sqrt(a * a + b * b)


@wf.function
def half(n):
    return n // 2


@wf.function
def Inverse(x):
    return wf.sqrt(x) / x


@pytest.fixture
def session():
    with wf.Session(threads=2) as session:
        session.register("t", pl.DataFrame({"id": [1, 2, 3, 4], "x": [3.0, 5.0, None, -1.0], "y": [4.0, 12.0, 1.0, 0.0]}))
        session.register(dist)
        yield session


def test_a_query(session):
    result = session.sql("SELECT id, dist(x, y) AS d FROM t WHERE dist(x, y) < 10 ORDER BY id").to_polars()
    assert result.to_dict(as_series=False) == {"id": [1, 4], "d": [5.0, 1.0]}
    assert session.sql("SELECT dist(3, 4) AS d").to_numpy()["d"].tolist() == [5.0]
    assert session.sql("SELECT dist(x, y) FROM t").columns == ["dist(x, y)"]
    assert session.sql("SELECT sum(dist(x, y)) AS s, count(dist(x, y)) AS n FROM t").to_numpy()["s"] == [19.0]


def test_the_function_is_a_part_of_fused_programs(session):
    plan = session.sql("SELECT dist(x, y) * 2 + sin(x) AS r FROM t WHERE dist(x, y) > 1").explain()
    assert "FusedExec" in plan or "fused(" in plan, plan
    assert "dist(" in plan


def test_the_meaning_is_pythons(session):
    session.register(half)
    session.register(Inverse)
    table = session.sql("SELECT half(CAST(id AS INT) - 4) AS h, inverse(x) AS i FROM t ORDER BY id").to_arrow()
    assert table["h"].to_pylist() == [-2, -1, -1, 0] and table["h"].type == pa.int64()
    # The square root of a negative number is NaN, and no error.
    assert table["i"].to_pylist()[2] is None and np.isnan(table["i"].to_pylist()[3])
    assert session.sql('SELECT "Inverse"(x) AS i FROM t').count() == 4


def test_types(session):
    session.register("f", {"x": np.array([3.0], np.float32), "n": np.array([200], np.uint8), "u": np.array([2**63], np.uint64)})
    assert session.sql("SELECT dist(x, x) AS d FROM f").to_arrow()["d"].type == pa.float32()
    assert session.sql("SELECT dist(CAST(3 AS DECIMAL(5, 1)), x) AS d FROM f").to_arrow()["d"].type == pa.float64()
    double = wf.function(lambda n: n + n, name="double")
    session.register(double)
    assert session.sql("SELECT double(n) AS d FROM f").to_numpy()["d"].tolist() == [144]
    with pytest.raises(ValueError, match="uint64"):
        session.sql("SELECT double(u) AS d FROM f").to_arrow()
    with pytest.raises(ValueError, match="double takes 1 arguments, not 2"):
        session.sql("SELECT double(n, n) FROM f").to_arrow()
    with pytest.raises(ValueError, match="takes numbers and Booleans"):
        session.sql("SELECT double('a') FROM f").to_arrow()


def test_names(session):
    with pytest.raises(ValueError, match="built-in function"):
        session.register(wf.function(lambda x: x, name="sqrt"))
    with pytest.raises(TypeError, match="made by warpframe.function"):
        session.register(lambda x: x)
    # A function replaces another one of its name.
    session.register(wf.function(lambda a, b: a - b, name="dist"))
    assert session.sql("SELECT dist(3, 4) AS d").to_numpy()["d"].tolist() == [-1]


def test_functions_agree_with_their_sql_text(session):
    """The statement of `sql` defines the same function."""
    functions = [
        wf.function(lambda a, b: wf.sqrt(a - b) + a / b, name="f1"),
        wf.function(lambda a, b: (a // b) * 3 + a % b, name="f2"),
        wf.function(lambda a, b: wf.where(a < b, wf.log(a), -b), name="f3"),
        wf.function(lambda a, b: wf.maximum(a, b) + wf.round(a) * (a == b), name="f4"),
    ]
    values = np.array([-2.5, -1.0, -0.0, 0.0, 0.5, 1.5, 2.5, 7.0, np.inf, -np.inf, np.nan])
    a, b = (grid.ravel() for grid in np.meshgrid(values, values))
    session.register("v", {"i": np.arange(len(a)), "a": a, "b": b})
    for function in functions:
        session.register(function)
        by_function = session.sql(f"SELECT {function.name}(a, b) AS r FROM v ORDER BY i").to_numpy()["r"]
        np.testing.assert_array_equal(by_function, function(a, b))
        with wf.Session(threads=1) as other:
            other.register("v", {"i": np.arange(len(a)), "a": a, "b": b})
            other.execute(function.sql)
            by_text = other.sql(f"SELECT {function.name}(a, b) AS r FROM v ORDER BY i").to_numpy()["r"]
        np.testing.assert_allclose(by_text, by_function, rtol=1e-15)
