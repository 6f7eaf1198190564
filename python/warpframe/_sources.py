"""What can be registered as a table."""

from __future__ import annotations

import os
from collections.abc import Mapping

import numpy as np

from . import _arguments, _pandas, _warpframe
from ._columns import column


def register(session: _warpframe.Session, name: str, data: object, copy: bool) -> None:
    """Register files, a frame, Arrow data or columns as a table. See `Session.register`."""
    if isinstance(data, (str, os.PathLike)):
        session.register_files(name, _arguments.path("the path", data))
    elif isinstance(data, Mapping):
        session.register_columns(name, _columns(data, copy))
    elif isinstance(data, np.ndarray) and data.dtype.names:
        session.register_columns(name, _columns({field: data[field] for field in data.dtype.names}, copy))
    elif _pandas.is_pandas(data) and hasattr(data, "columns"):
        session.register_arrow(name, _pandas.table(data, copy))
    elif hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__"):
        session.register_arrow(name, data)
    else:
        raise TypeError(_reason(name, data))


def _columns(columns: Mapping, copy: bool) -> list[tuple[str, object]]:
    if not columns:
        raise ValueError("the table has no columns")
    for name in columns:
        if not isinstance(name, str):
            raise TypeError(f"the names of columns must be str, not {type(name).__name__}")
    return [(name, column(name, values, copy)) for name, values in columns.items()]


def _reason(name: str, data: object) -> str:
    kind = type(data).__name__
    if isinstance(data, np.ndarray):
        return f"an array has no names of columns: register('{name}', {{'x': array}})"
    if hasattr(data, "collect"):
        return f"{kind} is lazy: register('{name}', frame.collect())"
    return (
        f"{kind} cannot be registered: pass a path, a frame, Arrow data or a dict of arrays, "
        "or only a function made by warpframe.function"
    )
