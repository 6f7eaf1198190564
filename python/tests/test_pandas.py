"""`warpframe.function` as the engine of `Series.map` and `DataFrame.apply`, against the default engine of pandas."""

import numpy as np
import pandas as pd
import pytest
import warpframe as wf
from pandas.api.executors import BaseExecutionEngine

ENGINES = [wf.function, wf.function(backend="interpreted")]


@pytest.fixture
def frame():
    random = np.random.default_rng(1)
    columns = {"A": random.normal(size=100), "B": random.normal(size=100), "name": ["x", "y"] * 50, "n": np.arange(100)}
    return pd.DataFrame(columns, index=pd.Index(np.arange(100) * 2, name="key"))


@pytest.mark.parametrize("engine", ENGINES)
def test_map(frame, engine):
    def f(x, factor=1.0):
        return np.sin(x) * factor + 1

    for keywords in ({}, {"factor": 3.0}):
        result = frame.A.map(f, engine=engine, **keywords)
        pd.testing.assert_series_equal(result, frame.A.map(f, **keywords), rtol=1e-15)


def test_map_of_missing_values():
    def is_missing(x):
        return wf.where(wf.isnan(x), -1.0, x)

    series = pd.Series([1.0, np.nan, 3.0], name="s")
    for action in (None, "ignore"):
        result = series.map(is_missing, na_action=action, engine=wf.function)
        pd.testing.assert_series_equal(result, series.map(is_missing, na_action=action))
    nullable = pd.Series([1, None, 3], dtype="Int64")
    pd.testing.assert_series_equal(nullable.map(lambda x: x + 1, na_action="ignore", engine=wf.function), nullable + 1)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("axis", [1, "columns"])
def test_apply_to_rows(frame, engine, axis):
    def f(row, scale, *, shift=0):
        return np.hypot(row["A"], row.B) * scale + row.n - shift

    result = frame.apply(f, axis=axis, args=(2.0,), shift=1, engine=engine)
    pd.testing.assert_series_equal(result, frame.apply(f, axis=axis, args=(2.0,), shift=1), rtol=1e-15)


def test_a_row_is_a_sequence_of_its_columns(frame):
    numbers = frame[["A", "B"]]
    for f in (lambda row: sum(row), lambda row: sum(row) / len(row), lambda row: row["B"] - row["A"] * 2):
        expected = numbers.apply(f, axis=1)
        pd.testing.assert_series_equal(numbers.apply(f, axis=1, engine=wf.function), expected, rtol=1e-15)
    pd.testing.assert_series_equal(frame.apply(lambda row: 7, axis=1, engine=wf.function), frame.apply(lambda row: 7, axis=1))


def test_columns_of_other_names():
    frame = pd.DataFrame({0: [1.0, 2.0], ("a", 1): [3.0, 4.0]})
    f = lambda row: row[0] * 10 + row[("a", 1)]
    pd.testing.assert_series_equal(frame.apply(f, axis=1, engine=wf.function), pd.Series([13.0, 24.0]))


def test_apply_to_columns(frame):
    numbers = frame[["A", "n"]].set_axis(["same", "same"], axis=1)
    f = lambda x, scale: x * scale + 1
    pd.testing.assert_frame_equal(numbers.apply(f, args=(2,), engine=wf.function), numbers.apply(f, args=(2,)), rtol=1e-15)


def test_raw(frame):
    numbers = frame[["A", "B"]]
    for axis, f in ((0, lambda x: x * 2), (1, lambda row: row[0] * row[1]), (1, lambda row: 3.0)):
        result = numbers.apply(f, axis=axis, raw=True, engine=wf.function)
        expected = numbers.apply(f, axis=axis, raw=True)
        (pd.testing.assert_frame_equal if axis == 0 else pd.testing.assert_series_equal)(result, expected)


def test_what_is_no_function_of_numbers(frame):
    with pytest.raises(AttributeError, match=r"\.mean reduces an array.*outside of the function"):
        frame[["A"]].apply(lambda column: column.mean(), engine=wf.function)
    with pytest.raises(AttributeError, match="a row has no column mean"):
        frame[["A"]].apply(lambda row: row.mean(), axis=1, engine=wf.function)
    with pytest.raises(KeyError, match="C"):
        frame.apply(lambda row: row["C"], axis=1, engine=wf.function)
    with pytest.raises(TypeError, match="name is of type str"):
        frame.apply(lambda row: row["name"] + 1, axis=1, engine=wf.function)
    with pytest.raises(TypeError, match="a row has no parts"):
        frame.apply(lambda row: row[["A", "B"]], axis=1, engine=wf.function)
    with pytest.raises(TypeError, match="returns a value of type Row"):
        frame.apply(lambda row: row, axis=1, engine=wf.function)
    with pytest.raises(TypeError, match="only Python functions"):
        frame.A.map(abs, engine=wf.function)


def test_the_engine_has_the_methods_of_pandas_interface():
    engine = wf.function.__pandas_udf__
    assert all(callable(getattr(engine, name)) for name in BaseExecutionEngine.__abstractmethods__)
