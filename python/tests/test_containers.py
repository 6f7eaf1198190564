"""Functions of Series, masked arrays, Arrow arrays and lists return what they were given."""

import enum

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import warpframe as wf


@wf.function
def dist(a, b):
    return wf.sqrt(a * a + b * b)


@wf.function
def positive(a):
    return a > 0


@wf.function
def choose(a, b, c):
    return wf.where(a > 0, b, c)


A, B, R = [3.0, 5.0, 8.0], [4.0, 12.0, 15.0], [5.0, 13.0, 17.0]


def test_polars():
    result = dist(pl.Series("a", A), pl.Series("b", B))
    assert isinstance(result, pl.Series) and result.name == "a" and result.dtype == pl.Float64
    assert result.to_list() == R
    # Several chunks, nulls, and a number.
    chunks = pl.concat([pl.Series("a", [3.0, None]), pl.Series("a", [8.0])], rechunk=False)
    assert dist(chunks, 4).to_list() == [5.0, None, np.sqrt(80.0)]
    assert positive(pl.Series("a", [1, None, -1], dtype=pl.Int16)).to_list() == [True, None, False]


def test_pyarrow():
    result = dist(pa.array(A), pa.array(B))
    assert isinstance(result, pa.Array) and result.to_pylist() == R
    chunked = dist(pa.chunked_array([A[:1], A[1:]]), pa.array(B))
    assert isinstance(chunked, pa.ChunkedArray) and chunked.to_pylist() == R
    assert dist(pa.array([3.0, None]), pa.array([4.0, 4.0]))[1].as_py() is None
    assert dist(pa.array(A, pa.float32()), pa.array(B, pa.float32())).type == pa.float32()
    assert dist(pa.array(A).slice(1), pa.array(B).slice(1)).to_pylist() == R[1:]
    booleans = pa.array([True, False, None] * 30)
    assert choose(booleans.slice(1), 1, 2).to_pylist() == [{True: 1, False: 2, None: None}[v] for v in
                                                           booleans.slice(1).to_pylist()]


def test_nulls_that_are_not_chosen():
    a, b, c = pa.array([1, -1, None]), pa.array([1.0, None, 1.0]), pa.array([None, 2.0, 2.0])
    assert choose(a, b, c).to_pylist() == [1.0, 2.0, None]


def test_many_rows_with_nulls():
    values = np.arange(100_000.0)
    mask = values % 7 == 0
    result = dist(pa.array(values, mask=mask), pa.array(values))
    assert result.null_count == mask.sum() and pa.compute.is_null(result).to_numpy(zero_copy_only=False).tolist() == mask.tolist()
    np.testing.assert_array_equal(result.drop_null().to_numpy(), np.sqrt(2 * values[~mask] ** 2))


def test_numpy_and_arrow_together():
    assert dist(pa.array(A), np.array(B)).to_pylist() == R
    assert isinstance(dist(np.array(A), pl.Series("b", B)), pl.Series)
    with pytest.raises(ValueError, match="shape"):
        dist(pa.array(A), np.zeros(4))
    with pytest.raises(ValueError, match="a is an Arrow array, and b has the shape [(]2, 3[)]"):
        dist(pa.array(A), np.zeros((2, 3)))
    # An array of one element is broadcast.
    values = np.arange(100_000.0)
    np.testing.assert_array_equal(dist(pa.array([3.0]), values).to_numpy(), np.sqrt(9 + values * values))
    assert dist(pa.array([None], pa.float64()), values[:3]).to_pylist() == [None] * 3


def test_pandas():
    index = pd.Index(["x", "y", "z"], name="key")
    a, b = pd.Series(A, index=index, name="a"), pd.Series(B, index=index, name="b")
    result = dist(a, b)
    pd.testing.assert_series_equal(result, pd.Series(R, index=index, name="a"))
    pd.testing.assert_series_equal(dist(a, np.array(B)), result)
    with pytest.raises(ValueError, match="different indexes.*a.align"):
        dist(a, b.reset_index(drop=True))
    with pytest.raises(TypeError, match="pass its columns"):
        dist(pd.DataFrame({"a": A}), 2)
    with pytest.raises(TypeError, match="Series a is of type"):
        dist(pd.Series(["u", "v", "w"]), 2)


@pytest.mark.parametrize("dtype", ["Int64", "Int8", "Float32", "Float64", "boolean"])
def test_nullable_types_of_pandas(dtype):
    series = pd.Series([1, 0, None], dtype=dtype)
    result = wf.function(lambda a: a & a if dtype == "boolean" else a + a)(series)
    assert str(result.dtype) == dtype
    expected = (series & series) if dtype == "boolean" else series + series
    pd.testing.assert_series_equal(result, expected)
    assert positive(series).dtype == "boolean" and positive(series).isna().tolist() == [False, False, True]


def test_arrow_types_of_pandas():
    series = pd.Series([1.0, 2.0, None], dtype="double[pyarrow]", index=[3, 4, 5], name="a")
    result = wf.function(lambda a: a * 2)(series)
    pd.testing.assert_series_equal(result, series * 2)


def test_masked_arrays():
    a = np.ma.MaskedArray([[3.0, 5.0], [8.0, 1.0]], mask=[[False, True], [False, False]])
    result = dist(a, 4.0)
    assert isinstance(result, np.ma.MaskedArray) and result.mask.tolist() == [[False, True], [False, False]]
    np.testing.assert_array_equal(result.compressed(), np.sqrt(a.compressed() ** 2 + 16))
    assert dist(np.ma.MaskedArray(A), B).mask is np.ma.nomask
    assert dist.sum(a, 0.0) == 3 + 8 + 1 and dist.count(a, 0.0) == 3
    # The mask of a wider argument.
    assert dist(a, np.ma.MaskedArray([1.0, 2.0], mask=[True, False])).mask.tolist() == [[True, True], [True, False]]


def test_lists_subclasses_and_numbers():
    np.testing.assert_array_equal(dist(A, B), R)
    np.testing.assert_array_equal(dist([[3, 8]], [[4], [15]]), [[5.0, np.sqrt(80)], [np.sqrt(234), 17.0]])
    assert dist(3, 4) == 5.0 and isinstance(dist(3, 4), np.float64)
    assert dist(np.float32(3), np.float32(4)).dtype == np.float32
    assert dist(enum.IntEnum("Sides", {"A": 3, "B": 4}).A, 4) == 5.0
    class Array(np.ndarray):
        pass
    assert type(dist(np.array(A).view(Array), B)) is np.ndarray
    np.testing.assert_array_equal(dist(np.array(A, ">f8"), np.array(B)), R)


@pytest.mark.parametrize("value", ["text", None, 3 + 4j, {"a": 1}, object(), np.array(["a"]), np.zeros(2, complex),
                                   ["a", "b"], pa.array(["a"]), pl.Series(["a"])], ids=lambda value: type(value).__name__)
def test_arguments_that_are_no_numbers(value):
    with pytest.raises(TypeError, match="argument a "):
        dist(value, 1.0)


def test_ragged_lists():
    with pytest.raises((ValueError, TypeError), match="argument a"):
        dist([[1.0], [1.0, 2.0]], 1.0)


def test_reductions():
    assert dist.sum(pl.Series(A), pl.Series(B)) == sum(R)
    assert dist.mean(pa.array([3.0, None]), 4.0) == 5.0 and dist.count(pa.array([3.0, None]), 4.0) == 1
    assert dist.max(pd.Series(A), pd.Series(B)) == 17.0


def test_explain():
    text = dist.explain(pl.Series(A), np.float32(1))
    assert text.startswith("dist(a: float64, b: float32) -> float64\nbackend: ") and "sqrt" in text
