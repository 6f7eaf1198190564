"""pandas frames and series as Arrow data, by means of pyarrow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def is_pandas(data: object) -> bool:
    """Whether an object is of pandas, without importing it."""
    return type(data).__module__.partition(".")[0] == "pandas"


def table(frame: Any, copy: bool) -> Any:
    """Convert a DataFrame without its index. Without `copy`, the table may share its memory.

    Raises
    ------
    ImportError
        pyarrow is not installed.
    TypeError
        Arrow has no type for a column, which the message names.
    """
    pyarrow = _pyarrow()
    frame = frame.copy() if copy else frame
    return _convert(pyarrow, lambda: pyarrow.Table.from_pandas(frame, preserve_index=False))


def array(name: str, series: Any, copy: bool) -> Any:
    """Convert a Series, the column `name`. Without `copy`, the array may share its memory.

    Raises
    ------
    ImportError
        pyarrow is not installed.
    TypeError
        Arrow has no type for the values.
    """
    pyarrow = _pyarrow()
    series = series.copy() if copy else series
    return _convert(pyarrow, lambda: pyarrow.Array.from_pandas(series), f"Conversion failed for column {name}")


def _convert(pyarrow: Any, convert: Callable[[], Any], place: str | None = None) -> Any:
    try:
        return convert()
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, pyarrow.ArrowNotImplementedError) as error:
        # The last argument of an error of a table names the column.
        reasons = [place] if place else []
        reasons.extend(str(argument) for argument in reversed(error.args))
        raise TypeError(": ".join(reasons)) from None


def _pyarrow() -> Any:
    try:
        import pyarrow
    except ImportError:
        raise ImportError("pandas data is registered by means of pyarrow: pip install pyarrow") from None
    return pyarrow
