"""NumPy arrays as Arrow columns."""

from __future__ import annotations

import numpy as np

from . import _pandas, _warpframe

_UNITS_OF_DAYS = ("Y", "M", "W", "D")
_UNITS_OF_SECONDS = ("h", "m", "s")
_ARROW_UNITS = {"s": "s", "ms": "ms", "us": "µs", "ns": "ns"}


def column(name: str, values: object, copy: bool) -> object:
    """Make an object with ``__arrow_c_array__`` or ``__arrow_c_stream__`` of a column.

    Parameters
    ----------
    name : str
        The name of the column, for errors.
    values : array_like of shape (n,)
        An array, a masked array, a pandas Series, Arrow data or a list.
    copy : bool
        Whether later changes of an array must not be seen. Arrow data cannot change and is never copied.

    Raises
    ------
    TypeError
        Arrow has no type for the values.
    ValueError
        The array does not have one dimension, or a date is out of range.
    """
    if _pandas.is_pandas(values):
        return _pandas.array(name, values, copy)
    if hasattr(values, "__arrow_c_array__") or hasattr(values, "__arrow_c_stream__"):
        return values
    nulls = np.ma.getmaskarray(values) if isinstance(values, np.ma.MaskedArray) else None
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"the column '{name}' has {array.ndim} dimensions: a column has one")
    if array.dtype.kind in "UT":
        return _warpframe.array_from_texts(_with_none(array, nulls))
    if array.dtype.kind == "S":
        return _warpframe.array_from_bytes(_with_none(array, nulls))
    if array.dtype.kind in "mM":
        is_nat = np.isnat(array)
        nulls = is_nat if nulls is None else nulls | is_nat
    arrow_type, numbers = _numbers(name, array, nulls)
    if copy and np.may_share_memory(numbers, array):
        numbers = numbers.copy()
    validity = np.packbits(~nulls, bitorder="little") if nulls is not None and nulls.any() else None
    return _warpframe.array_from_buffers(arrow_type, len(array), numbers.view(np.uint8), validity)


def _with_none(array: np.ndarray, nulls: np.ndarray | None) -> list:
    values = array.tolist()
    if nulls is None:
        return values
    return [None if is_null else value for value, is_null in zip(values, nulls, strict=True)]


def _numbers(name: str, array: np.ndarray, nulls: np.ndarray | None) -> tuple[str, np.ndarray]:
    """Return the name of the Arrow type, and its contiguous buffer."""
    kind, width = array.dtype.kind, 8 * array.dtype.itemsize
    if kind == "b":
        return "Boolean", np.packbits(array, bitorder="little")
    if kind == "i":
        return f"Int{width}", _contiguous(array)
    if kind == "u":
        return f"UInt{width}", _contiguous(array)
    if kind == "f" and width <= 64:
        return f"Float{width}", _contiguous(array)
    if kind == "M":
        return _timestamps(name, array, nulls)
    if kind == "m":
        return _durations(name, array)
    if kind == "O":
        raise TypeError(
            f"the column '{name}' holds Python objects (dtype object): "
            "convert it first, as in column.astype(float) or column.astype(str)"
        )
    raise TypeError(f"the column '{name}' has the dtype {array.dtype}, which has no SQL type: convert it first")


def _timestamps(name: str, array: np.ndarray, nulls: np.ndarray | None) -> tuple[str, np.ndarray]:
    unit, _ = np.datetime_data(array.dtype)
    if unit in _UNITS_OF_DAYS:
        days = array.astype("datetime64[D]").view(np.int64)
        days = days if nulls is None else np.where(nulls, 0, days)
        if len(days) and not (-(2**31) <= days.min() and days.max() < 2**31):
            raise ValueError(f"the column '{name}' has a date out of the range of 32-bit days")
        return "Date32", days.astype(np.int32)
    unit = "s" if unit in _UNITS_OF_SECONDS else unit
    if unit not in _ARROW_UNITS:
        raise TypeError(f"the column '{name}' has the dtype {array.dtype}: convert it to datetime64[ns] first")
    return f"Timestamp({_ARROW_UNITS[unit]})", _contiguous(array.astype(f"datetime64[{unit}]", copy=False))


def _durations(name: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    unit, _ = np.datetime_data(array.dtype)
    unit = "s" if unit in ("W", "D", *_UNITS_OF_SECONDS) else unit
    if unit not in _ARROW_UNITS:
        raise TypeError(f"the column '{name}' has the dtype {array.dtype}: convert it to timedelta64[ns] first")
    return f"Duration({_ARROW_UNITS[unit]})", _contiguous(array.astype(f"timedelta64[{unit}]", copy=False))


def _contiguous(array: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("="))
