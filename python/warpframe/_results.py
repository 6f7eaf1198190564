"""Rows in memory as the objects of other packages."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np

from . import _warpframe

if TYPE_CHECKING:
    import pandas
    import polars
    import pyarrow

_MARKUP = {ord("&"): "&amp;", ord("<"): "&lt;", ord(">"): "&gt;"}


def to_arrow(table: _warpframe.ArrowTable) -> pyarrow.Table:
    """Return a pyarrow Table over the same memory."""
    return _package("pyarrow", "to_arrow").RecordBatchReader.from_stream(table).read_all()


def to_record_batch(table: _warpframe.ArrowTable) -> pyarrow.RecordBatch:
    """Return a pyarrow RecordBatch over the same memory."""
    return _package("pyarrow", "to_arrow").record_batch(table)


def to_polars(table: _warpframe.ArrowTable) -> polars.DataFrame:
    """Return a Polars DataFrame. Polars copies the batches together.

    Raises
    ------
    TypeError
        Polars has no type for a column.
    """
    polars = _package("polars", "to_polars")
    try:
        return polars.DataFrame(table)
    except BaseException as error:
        # Polars panics if it lacks a type, which is no Exception.
        if type(error).__name__ != "PanicException":
            raise
        types = ", ".join(f"{name} {kind}" for name, kind in table.schema())
        raise TypeError(f"Polars has no type for a column of {types}") from error


def to_pandas(table: _warpframe.ArrowTable) -> pandas.DataFrame:
    """Return a pandas DataFrame."""
    _package("pandas", "to_pandas")
    return _package("pyarrow", "to_pandas").RecordBatchReader.from_stream(table).read_pandas()


def to_numpy(table: _warpframe.ArrowTable) -> dict[str, np.ndarray]:
    """Return an array for each column.

    Raises
    ------
    TypeError
        NumPy has no form of a column.
    ValueError
        Two columns have one name.
    """
    names = [name for name, _ in table.schema()]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ValueError(f"two columns have the name '{twice}': give one of them another, as in SELECT ... AS name")
    return {name: _numpy_column(table, number) for number, name in enumerate(names)}


def to_html(table: _warpframe.ArrowTable, rows: int, note: str) -> str:
    """Return the first rows as an HTML table, with a note below it."""
    columns = table.schema()
    heads = "".join(f"<th>{_escape(name)}<br><small>{_escape(kind)}</small></th>" for name, kind in columns)
    cells = [table.shown(number)[:rows] for number in range(len(columns))]
    body = "".join(
        "<tr>" + "".join(f"<td>{_escape('NULL' if cell is None else cell)}</td>" for cell in row) + "</tr>"
        for row in zip(*cells, strict=True)
    )
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table><small>{_escape(note)}</small>"


def _numpy_column(table: _warpframe.ArrowTable, number: int) -> np.ndarray:
    name, arrow_type = table.schema()[number]
    numpy_type = table.numpy_types()[number]
    if numpy_type is None:
        raise TypeError(f"NumPy has no form of the column '{name}' of type {arrow_type}: use to_arrow() or to_polars()")
    if numpy_type == "str":
        return _objects(table.texts(number))
    if numpy_type == "bytes":
        return _objects(table.byte_strings(number))
    if numpy_type == "Decimal":
        from decimal import Decimal

        return _objects([None if text is None else Decimal(text) for text in table.shown(number)])
    if numpy_type == "None":
        return _objects([None] * len(table))
    values = np.empty(len(table), dtype=numpy_type)
    table.copy_values(number, values.view(np.uint8))
    if not table.null_count(number):
        return values
    nulls = np.empty(len(table), dtype=bool)
    table.copy_nulls(number, nulls.view(np.uint8))
    return np.ma.MaskedArray(values, nulls)


def _objects(values: list) -> np.ndarray:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array


def _package(name: str, method: str) -> Any:
    try:
        return import_module(name)
    except ImportError:
        raise ImportError(f"{method}() needs the package {name}: pip install {name}") from None


def _escape(text: str) -> str:
    return text.translate(_MARKUP)
