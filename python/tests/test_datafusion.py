"""Traced functions in DataFusion's Python package, against calls with arrays."""

import datafusion
import numpy as np
import pyarrow as pa
import pytest
import warpframe as wf
from datafusion import col, udf


@wf.function
def dist(a, b):
    return wf.sqrt(a * a + b * b)


@pytest.fixture
def context():
    context = datafusion.SessionContext()
    context.register_udf(udf(dist))
    random = np.random.default_rng(1)
    a, b = random.normal(size=(2, 20_000))
    table = pa.table({"a": pa.array(a, mask=a > 2), "b": b, "n": np.arange(20_000), "f": b.astype(np.float32), "s": ["s"] * 20_000})
    context.from_arrow(table, name="t")
    return context


def column(query):
    return query.to_arrow_table().column(0)


def test_queries(context):
    table = context.table("t").to_arrow_table()
    a, b, n, f = (table[name] for name in "abnf")
    result = column(context.sql("SELECT dist(a, b) FROM t ORDER BY n"))
    assert result.combine_chunks() == dist(a, b).combine_chunks() and result.null_count > 0
    assert column(context.sql("SELECT dist(n, 3) FROM t ORDER BY n")).combine_chunks() == dist(n, 3).combine_chunks()
    selected = column(context.sql("SELECT b FROM t WHERE dist(b, 1) < 2 ORDER BY n")).to_numpy()
    np.testing.assert_array_equal(selected, b.to_numpy()[np.sqrt(b.to_numpy() ** 2 + 1) < 2])
    assert column(context.sql("SELECT count(dist(a, b)) FROM t"))[0].as_py() == dist.count(a, b)


def test_types_decide_the_type_of_the_result(context):
    assert column(context.sql("SELECT dist(f, f) FROM t")).type == pa.float32()
    assert column(context.sql("SELECT dist(f, b) FROM t")).type == pa.float64()
    context.register_udf(udf(wf.function(lambda x: x + x, name="twice")))
    assert column(context.sql("SELECT twice(n) FROM t")).type == pa.int64()
    context.register_udf(udf(wf.function(lambda x, y: x < y, name="is_less")))
    assert column(context.sql("SELECT is_less(a, b) FROM t")).type == pa.bool_()


def test_dataframes(context):
    function = udf(dist)
    assert function.name == "dist"
    result = context.table("t").select(col("n"), function(col("a"), col("b")).alias("r")).sort(col("n"))
    result = result.to_arrow_table().column("r")
    assert result.combine_chunks() == column(context.sql("SELECT dist(a, b) FROM t ORDER BY n")).combine_chunks()


def test_errors(context):
    with pytest.raises(ValueError, match="dist takes 2 arguments, not 1"):
        context.sql("SELECT dist(a) FROM t")
    with pytest.raises(ValueError, match="takes numbers and Booleans, not .*: use CAST"):
        context.sql("SELECT dist(a, s) FROM t")
    with pytest.raises(TypeError, match="cannot trace"):
        udf(wf.function(lambda x: 1 if x > 0 else 2))


def test_the_capsule_is_that_of_datafusion():
    assert type(dist.__datafusion_scalar_udf__()).__name__ == "PyCapsule"
    assert "datafusion_scalar_udf" in repr(dist.__datafusion_scalar_udf__())
