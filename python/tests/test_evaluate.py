"""SQL expressions over arrays."""

import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import warpframe as wf

GLOBAL = np.array([1.0, 2.0])


def test_names_of_the_caller():
    x, X = np.array([1.0, 2.0]), np.array([10.0, 20.0])
    np.testing.assert_array_equal(wf.evaluate("x + X + GLOBAL"), x + X + GLOBAL)
    with pytest.raises(NameError, match="the variable missing of the expression 'x [+] missing' does not exist"):
        wf.evaluate("x + missing")
    np.testing.assert_array_equal(wf.evaluate('"x" * 2'), [2.0, 4.0])


def test_the_reference_workload():
    x = y = z = np.arange(1, 100_001, dtype=np.float64)
    result = wf.evaluate("ln(x) * ln(y) * ln(z)")
    np.testing.assert_allclose(result, np.log(x) ** 3, rtol=1e-14)


def test_the_meaning_is_that_of_sql():
    i = np.array([7, -7])
    np.testing.assert_array_equal(wf.evaluate("i / 2"), [3, -3])
    assert wf.evaluate("i / 2").dtype == np.int64
    with pytest.raises(ArithmeticError, match="square root of a negative number"):
        wf.evaluate("sqrt(x)", {"x": np.array([-1.0])})
    with pytest.raises(ArithmeticError, match="Divide by zero"):
        wf.evaluate("i / j", {"i": i, "j": np.array([1, 0])})
    x = np.array([1.0, np.nan])
    np.testing.assert_array_equal(wf.evaluate("CASE WHEN x > 1 THEN 1.5 ELSE 0.5 END"), [0.5, 1.5])


def test_containers():
    np.testing.assert_array_equal(wf.evaluate("x * 2", {"x": [1, 2]}), [2, 4])
    assert wf.evaluate("coalesce(x, 0) + 1", {"x": pl.Series([1.5, None])}).to_list() == [2.5, 1.0]
    assert wf.evaluate("x IS NULL", {"x": pa.array([1, None])}).to_pylist() == [False, True]
    pd.testing.assert_series_equal(wf.evaluate("x + 1", {"x": pd.Series([1, 2], name="x")}), pd.Series([2, 3], name="x"))
    masked = np.ma.MaskedArray([1.0, 2.0], mask=[True, False])
    assert wf.evaluate("x + 1", {"x": masked}).tolist() == [None, 3.0]


def test_out_and_broadcasting():
    x, out = np.arange(6.0).reshape(2, 3), np.empty((2, 3))
    assert wf.evaluate("x + y", {"x": x, "y": np.array([10.0, 20.0, 30.0])}, out=out) is out
    np.testing.assert_array_equal(out, x + [10, 20, 30])


def test_names_that_the_result_does_not_depend_on():
    x, y = np.array([1.0, 2.0]), np.array([3.0, 4.0])
    np.testing.assert_array_equal(wf.evaluate("CASE WHEN true THEN y ELSE x END"), y)
    assert wf.evaluate("1 + 1") == 2 and wf.evaluate("y") is not y
    np.testing.assert_array_equal(wf.evaluate("CASE WHEN true THEN x ELSE y END"), x)
    with pytest.raises(ValueError, match="shape"):
        wf.evaluate("CASE WHEN true THEN x ELSE y END", {"x": x, "y": np.zeros(3)})


@pytest.mark.parametrize("text, message", [
    ("x +", "'x [+]' is not an expression"),
    ("x; y", "is not an expression"),
    ("t.x", "t.x is not the name of an array"),
    ("lnn(x)", "lnn"),
    ("x || 'a'", "cannot compile"),
    ("", "is not an expression"),
])
def test_expressions_that_are_not_valid(text, message):
    with pytest.raises((ValueError, TypeError), match=message):
        wf.evaluate(text, {"x": np.zeros(2), "y": np.zeros(2)})


def test_what_is_no_text():
    with pytest.raises(TypeError, match="int"):
        wf.evaluate(3)
