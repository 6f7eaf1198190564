"""Calls with arguments that are not plain NumPy arrays: masked arrays, Series of pandas and Polars, Arrow arrays, lists.

The result has the kind of the first argument that is a container. No package is imported here: its containers can only be
arguments if it is imported already.
"""

import sys

import numpy as np

_NUMBERS = (bool, int, float, np.generic)


def call(native, args, out):
    """Calls `native` (a `Function` or an `Expression`) with converted arguments, and converts the result back."""
    if out is not None:
        _refuse_out(out)
    arguments = _Arguments(native.names, args)
    if arguments.arrow:
        return arguments.wrap_arrow(native.call_arrow(arguments.values))
    if any(mask is not None for mask in arguments.masks):
        return arguments.wrap(*native.call_masked(arguments.values, arguments.masks))
    return arguments.wrap(native.call(arguments.values, out), None)


def reduce(native, kind, args):
    """Reduces the result of `native` for converted arguments to a scalar. Nulls are left out."""
    arguments = _Arguments(native.names, args)
    if arguments.arrow:
        return native.reduce_arrow(kind, arguments.values)
    if any(mask is not None for mask in arguments.masks):
        return native.reduce_masked(kind, arguments.values, arguments.masks)
    return native.reduce(kind, arguments.values)


def explain(native, args):
    """The text that explains a call with converted arguments."""
    return native.explain(_Arguments(native.names, args).values)


def _refuse_out(out):
    if not isinstance(out, np.ndarray) or isinstance(out, np.ma.MaskedArray):
        raise TypeError(f"out must be a numpy.ndarray, not {type(out).__name__}")


class _Arguments:
    """Converted arguments, and how the result is converted back."""

    def __init__(self, names, args):
        #: Whether the values are Arrow arrays.
        self.arrow = False
        self.wrapper = None
        self.series = None
        converted = [self._convert(name, arg) for name, arg in zip(names, args, strict=True)]
        self.values = tuple(value for value, _ in converted)
        self.masks = tuple(mask for _, mask in converted)
        if self.arrow and any(mask is not None for mask in self.masks):
            raise TypeError("masked arrays and Arrow arrays cannot be arguments of one call: convert one of them")

    def _convert(self, name, value):
        """The value for the native module, and its mask, if it has one."""
        if isinstance(value, _NUMBERS):
            return _number(value), None
        if isinstance(value, np.ma.MaskedArray):
            self._returns(_masked_array)
            mask = np.ma.getmask(value)
            return value.data.view(np.ndarray), None if mask is np.ma.nomask else mask
        if isinstance(value, np.ndarray):
            return _native_order(value.view(np.ndarray)), None
        pandas = sys.modules.get("pandas")
        if pandas is not None and isinstance(value, pandas.Series):
            return self._convert_series(name, value, pandas)
        if pandas is not None and isinstance(value, (pandas.DataFrame, pandas.Index)):
            raise TypeError(f"the argument {name} is a {type(value).__name__}: pass its columns, which are Series")
        if hasattr(value, "__arrow_c_array__") or hasattr(value, "__arrow_c_stream__"):
            self.arrow = True
            self._returns(_arrow_wrapper(value))
            return value, None
        if isinstance(value, (list, tuple)) or hasattr(value, "__array__"):
            return _from_sequence(name, value), None
        raise TypeError(
            f"the argument {name} is of type {type(value).__name__}: use a number, a NumPy array, an Arrow array or a Series"
        )

    def _convert_series(self, name, series, pandas):
        if self.series is None:
            self.series = (name, series)
        elif not self.series[1].index.equals(series.index):
            raise ValueError(
                f"the Series {self.series[0]} and {name} have different indexes: align them first, "
                f"for example with {self.series[0]}.align({name})"
            )
        dtype = series.dtype
        if isinstance(dtype, np.dtype):
            self._returns(_series)
            return _native_order(series.to_numpy()), None
        if isinstance(dtype, pandas.ArrowDtype):
            self.arrow = True
            self._returns(_arrow_series)
            return series, None
        if isinstance(getattr(dtype, "numpy_dtype", None), np.dtype) and dtype.numpy_dtype.kind in "biuf":
            # A type of pandas with a mask of missing values, such as Int64.
            self._returns(_nullable_series)
            values = series.to_numpy(dtype=dtype.numpy_dtype, na_value=dtype.numpy_dtype.type(0))
            return values, np.ascontiguousarray(series.isna().to_numpy())
        raise TypeError(f"the Series {name} is of type {dtype}, of which there are no programs: convert it with .astype")

    def _returns(self, wrapper):
        self.wrapper = self.wrapper or wrapper

    def wrap(self, values, mask):
        return values if self.wrapper is None else self.wrapper(self, values, mask)

    def wrap_arrow(self, array):
        return self.wrapper(self, array, None)


def _number(value):
    """A number of a type that the native module knows: subclasses, such as those of `enum.IntEnum`, are converted."""
    if isinstance(value, np.generic):
        return np.asarray(value) if value.dtype.isnative else np.asarray(value).astype(value.dtype.newbyteorder("="))
    return bool(value) if isinstance(value, bool) else int(value) if isinstance(value, int) else float(value)


def _native_order(array):
    return array if array.dtype.isnative else array.astype(array.dtype.newbyteorder("="))


def _from_sequence(name, value):
    try:
        array = np.asarray(value)
    except ValueError as error:
        raise ValueError(f"the argument {name} is not an array: {error}") from None
    return _native_order(array.view(np.ndarray))


def _masked_array(_arguments, values, mask):
    return np.ma.MaskedArray(values, np.ma.nomask if mask is None else mask)


def _series(arguments, values, mask):
    pandas, (_, first) = sys.modules["pandas"], arguments.series
    if mask is not None:
        return _nullable_series(arguments, values, mask)
    return pandas.Series(values, index=first.index, name=first.name, copy=False)


def _nullable_series(arguments, values, mask):
    pandas, (_, first) = sys.modules["pandas"], arguments.series
    kinds = {"b": pandas.arrays.BooleanArray, "f": pandas.arrays.FloatingArray}
    kind = kinds.get(values.dtype.kind, pandas.arrays.IntegerArray)
    mask = np.zeros(values.shape, dtype=bool) if mask is None else mask
    return pandas.Series(kind(values, mask), index=first.index, name=first.name, copy=False)


def _arrow_series(arguments, array, _mask):
    import pyarrow

    pandas, (_, first) = sys.modules["pandas"], arguments.series
    array = pyarrow.array(array)
    return pandas.Series(array, index=first.index, name=first.name, dtype=pandas.ArrowDtype(array.type))


def _arrow_wrapper(value):
    """The function that converts a result to the kind of an Arrow container."""
    polars, pyarrow = sys.modules.get("polars"), sys.modules.get("pyarrow")
    if polars is not None and isinstance(value, polars.Series):
        return lambda _arguments, array, _mask: polars.Series(array).rename(value.name)
    if pyarrow is not None and isinstance(value, pyarrow.ChunkedArray):
        return lambda _arguments, array, _mask: pyarrow.chunked_array([pyarrow.array(array)])
    if pyarrow is not None and isinstance(value, pyarrow.Array):
        return lambda _arguments, array, _mask: pyarrow.array(array)
    return lambda _arguments, array, _mask: array
