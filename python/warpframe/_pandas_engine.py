"""The engine of pandas' `Series.map` and `DataFrame.apply`, which the decorator `function` has as its attribute `__pandas_udf__`.

It has the methods of `pandas.api.executors.BaseExecutionEngine`, which pandas calls with the arguments of `map` and `apply`.
"""

from ._trace import Trace
from ._trace_errors import untraceable


class PandasEngine:
    """Compiles the functions that are given to `Series.map` and `DataFrame.apply`."""

    @staticmethod
    def map(data, func, args, kwargs, decorator, skip_na):
        """Computes a function of one number for each value of a Series.

        Parameters
        ----------
        data : pandas.Series
            The values, which are the first argument of `func`.
        func : function
            What `decorator` takes.
        args, kwargs
            The other arguments, which are numbers.
        decorator : function
            `warpframe.function`, or what it returns if it is called with options.
        skip_na : bool
            Whether NaN stays what it is. Missing values of other types always stay.

        Returns
        -------
        pandas.Series
            With the index and name of `data`.
        """
        result = decorator(func)(data, *args, **kwargs)
        return result.mask(data.isna()) if skip_na else result

    @staticmethod
    def apply(data, func, args, kwargs, decorator, axis):
        """Computes a function of one row for all rows, or a function of one number for all columns.

        Parameters
        ----------
        data : pandas.DataFrame or numpy.ndarray
            A table, of shape (rows, columns).
        func : function
            Of a row, of which it takes columns as ``row["x"]`` or ``row.x``, and returns one number; or of one number.
        args, kwargs
            The other arguments of `func`, which are numbers.
        decorator : function
            As of `map`.
        axis : {0, "index", 1, "columns"}
            1 and "columns" are for functions of rows.

        Returns
        -------
        pandas.Series or pandas.DataFrame or numpy.ndarray
            An array if `data` is one. A number for each row, or a table of the shape of `data`.
        """
        function = decorator(func)
        if axis in (1, "columns"):
            return _apply_to_rows(data, function, args, kwargs)
        if not hasattr(data, "columns"):
            return function(data, *args, **kwargs)
        import pandas

        names = range(len(data.columns))
        columns = {name: function(data.iloc[:, name], *args, **kwargs) for name in names}
        return pandas.DataFrame(columns, index=data.index).set_axis(data.columns, axis=1)


def _apply_to_rows(data, function, args, kwargs):
    from . import _containers

    is_frame = hasattr(data, "columns")
    trace = Trace([])
    row = Row(trace, data.columns if is_frame else range(data.shape[1]))
    native = function._of_row(trace, row, args, kwargs)
    columns = tuple(data[key] if is_frame else data[:, key] for key in row._symbols)
    result = _containers.call(native, columns, None)
    if not is_frame:
        import numpy

        return result if columns else numpy.full(len(data), result)
    if columns:
        return result.rename(None)
    import pandas

    return pandas.Series(result, index=data.index)


class Row:
    """One row of a table, while a function is traced. Its columns become parameters when they are used."""

    __slots__ = ("_trace", "_columns", "_symbols")

    def __init__(self, trace, columns):
        self._trace = trace
        self._columns = columns
        #: The symbols of the columns that are used.
        self._symbols = {}

    def __getitem__(self, key):
        if isinstance(key, (slice, list)):
            raise untraceable("a row has no parts", "an expression for each of its columns")
        if key not in self._columns:
            raise KeyError(key)
        if key not in self._symbols:
            self._symbols[key] = self._trace.add_parameter(str(key))
        return self._symbols[key]

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        if name not in self._columns:
            raise untraceable(
                f"a row has no column {name}, and no methods", 'operations on its columns, such as row["x"]', error=AttributeError
            )
        return self[name]

    def __iter__(self):
        return iter([self[key] for key in self._columns])

    def __len__(self):
        return len(self._columns)
