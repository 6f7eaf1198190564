"""The decorator `function`, and the class of what it returns."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from types import FunctionType
from typing import Any, overload

from ._pandas_engine import PandasEngine
from ._trace import Symbol, Trace, trace_of

_BACKENDS = ("auto", "interpreted", "simd", "native", "cuda")
_VARIABLE_POSITIONAL, _VARIABLE_KEYWORDS = 0x04, 0x08
_GENERATOR, _COROUTINE, _ASYNC_GENERATOR = 0x20, 0x80, 0x200

# Traces are made one at a time: functions call each other in them.
_tracing = threading.RLock()


def _new_lock():
    global _tracing
    _tracing = threading.RLock()


if hasattr(os, "register_at_fork"):
    # A thread that holds the lock is not in the child process.
    os.register_at_fork(after_in_child=_new_lock)


@overload
def function(f: Callable[..., Any], /, *, name: str | None = None, backend: str | None = None) -> Function: ...
@overload
def function(*, name: str | None = None, backend: str | None = None) -> Callable[[Callable[..., Any]], Function]: ...
def function(f=None, /, *, name=None, backend=None):
    """Compiles a Python function of numbers, to be called with arrays.

    The function is written for one row. At its first call it runs once, with symbols in the place of numbers, and the operations
    on them are compiled; no Python runs per row. Operators, NumPy's universal functions, `numpy.where` and the functions of
    warpframe mean what they mean for NumPy arrays. Global variables and those of enclosing functions are constants: their values
    are those at the first call. Everything else that the function does is done once.

    Parameters
    ----------
    f : function
        A function defined with ``def`` or ``lambda``, whose parameters are numbers, with numbers as defaults, if any. It returns
        one number.
    name : str, optional
        The name in SQL and in plans; that of `f` by default.
    backend : {"auto", "interpreted", "simd", "native", "cuda"}, optional
        What evaluates the function: `None` and "auto" choose by the number of rows.

    Returns
    -------
    Function
        A function of arrays and numbers.

    Raises
    ------
    TypeError
        `f` is no such function. What cannot be traced raises `TypeError` at the first call, naming the line and what to write
        instead.

    Examples
    --------
    >>> import numpy as np
    >>> import warpframe as wf
    >>> @wf.function
    ... def dist(a, b):
    ...     return wf.sqrt(a * a + b * b)
    >>> dist(np.array([3.0, 5.0]), np.array([4.0, 12.0]))
    array([ 5., 13.])
    >>> float(dist.sum(np.array([3.0, 5.0]), np.array([4.0, 12.0])))
    18.0
    """
    if f is None:

        def decorator(f):
            return function(f, name=name, backend=backend)

        decorator.__pandas_udf__ = PandasEngine
        return decorator
    if isinstance(f, Function):
        if name is None and backend is None:
            return f
        f = f.__wrapped__
    return Function(f, name=name, backend=backend)


# So that pandas takes the decorator as an engine: `frame.apply(f, axis=1, engine=warpframe.function)`.
function.__pandas_udf__ = PandasEngine


class Function:
    """A compiled function of numbers, made by `function`.

    Attributes
    ----------
    __wrapped__ : function
        The Python function.
    name : str
        The name in SQL and in plans.
    parameters : tuple of str
        The names of the parameters.
    backend : str or None
        The backend that was chosen.
    """

    __wrapped__: Callable[..., Any]
    name: str
    parameters: tuple[str, ...]
    backend: str | None

    def __init__(self, f: Callable[..., Any], *, name: str | None = None, backend: str | None = None) -> None:
        self.parameters, self._positional_only, self._positional = _parameters(f)
        self._defaults = _defaults(f, self.parameters, self._positional)
        self.__wrapped__ = f
        self.__name__, self.__qualname__, self.__module__ = f.__name__, f.__qualname__, f.__module__
        self.__doc__ = f.__doc__
        if name is None:
            name = f.__name__ if f.__name__.isidentifier() else "lambda"
        elif not isinstance(name, str) or not name:
            raise TypeError(f"the name of a function is a text that is not empty, not {name!r}")
        if backend is not None and backend not in _BACKENDS:
            raise ValueError(f"there is no backend {backend!r}: use one of {', '.join(_BACKENDS)}")
        self.name = name
        self.backend = backend
        self._traced = None
        self._compiled = None
        self._is_traced_now = False
        # Calls with as many arguments need no binding.
        self._arguments = len(self._positional) if len(self._positional) == len(self.parameters) else -1

    def __call__(self, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        """Computes the function for each row.

        Parameters
        ----------
        *args, **kwargs
            Arrays, which all have one shape, and numbers: of NumPy, or Arrow arrays, Polars or pandas series.
        out : numpy.ndarray, optional
            The array for the result, of its shape and type.

        Returns
        -------
        array or number
            The result for each row, in a container like that of the arguments; `out` if it is given.

        Raises
        ------
        TypeError
            An argument is missing, or is no array of numbers; or the function cannot be traced.
        ValueError
            The arrays have different shapes.
        """
        native = self._compiled
        if native is None or kwargs or len(args) != self._arguments:
            return self._call(args, kwargs, out)
        result = native.call(args, out)
        return result if result is not NotImplemented else self._call(args, kwargs, out)

    def _call(self, args, kwargs, out):
        """A call of any arguments."""
        args = self._bind(args, kwargs)
        trace = trace_of(args)
        if trace is not None:
            return self._inline(trace, args, out)
        native = self._native
        result = native.call(args, out)
        if result is NotImplemented:
            from . import _containers

            result = _containers.call(native, args, out)
        return result

    def sum(self, /, *args: Any, **kwargs: Any) -> Any:
        """The sum of the results for all rows, without an array of them; as `numpy.sum` of the result, and 0 of no rows.

        Parameters
        ----------
        *args, **kwargs
            As of a call.

        Returns
        -------
        number
            The sum of the rows that are not null, as a number of NumPy.
        """
        return self._reduce("sum", args, kwargs)

    def mean(self, /, *args: Any, **kwargs: Any) -> Any:
        """The mean of the results for all rows; as `sum`, and NaN of no rows."""
        return self._reduce("mean", args, kwargs)

    def min(self, /, *args: Any, **kwargs: Any) -> Any:
        """The least of the results for all rows; as `sum`."""
        return self._reduce("min", args, kwargs)

    def max(self, /, *args: Any, **kwargs: Any) -> Any:
        """The greatest of the results for all rows; as `sum`."""
        return self._reduce("max", args, kwargs)

    def var(self, /, *args: Any, **kwargs: Any) -> Any:
        """The variance of the results for all rows, divided by their number, as `numpy.var`; as `sum`."""
        return self._reduce("var", args, kwargs)

    def std(self, /, *args: Any, **kwargs: Any) -> Any:
        """The standard deviation of the results for all rows, the root of `var`; as `sum`."""
        return self._reduce("std", args, kwargs)

    def count(self, /, *args: Any, **kwargs: Any) -> Any:
        """The number of results that are not null; as `sum`."""
        return self._reduce("count", args, kwargs)

    def _reduce(self, kind, args, kwargs):
        args = self._bind(args, kwargs)
        if trace_of(args) is not None:
            from ._trace_errors import untraceable

            raise untraceable(
                f"{self.__name__}.{kind} combines rows, and a function computes one row at a time",
                "the reduction outside of the function, and pass its result as an argument",
            )
        native = self._native
        result = native.reduce(kind, args)
        if result is NotImplemented:
            from . import _containers

            result = _containers.reduce(native, kind, args)
        return result

    def explain(self, /, *args: Any, **kwargs: Any) -> str:
        """How a call with these arguments is computed: the backend, the code and why.

        Parameters
        ----------
        *args, **kwargs
            As of a call.

        Returns
        -------
        str
            Lines of text.
        """
        from . import _containers

        return _containers.explain(self._native, self._bind(args, kwargs))

    @property
    def sql(self) -> str:
        """The statement ``CREATE FUNCTION`` that defines this function in SQL, with Python's meaning.

        Parameters are ``DOUBLE``, unless they are annotated with ``int``, ``bool`` or a NumPy type.

        Raises
        ------
        NotImplementedError
            SQL has no expression for an operation.

        Examples
        --------
        >>> import warpframe as wf
        >>> print(wf.function(lambda a, b: a / b, name="ratio").sql)
        CREATE FUNCTION ratio(a DOUBLE, b DOUBLE) RETURNS DOUBLE RETURN a / b
        """
        from ._sql_text import create_function

        nodes, result = self._nodes()
        return create_function(self.name, self.parameters, self.__wrapped__.__annotations__, nodes, result)

    def __datafusion_scalar_udf__(self) -> Any:
        """The function for DataFusion's Python package, as a capsule that ``datafusion.udf`` takes.

        Examples
        --------
        >>> import datafusion, warpframe as wf
        >>> context = datafusion.SessionContext()
        >>> context.register_udf(datafusion.udf(wf.function(lambda a: a * a, name="squared")))
        >>> context.sql("SELECT squared(3.0) AS s").to_pydict()
        {'s': [9.0]}
        """
        return self._native.__datafusion_scalar_udf__()

    def __repr__(self):
        return f"<warpframe function {self.name}({', '.join(self.parameters)})>"

    def __reduce__(self):
        """Pickles the function by its name, or the Python function by its name if that is what the module has."""
        import sys

        found = _find(self.__module__, self.__qualname__)
        if found is self.__wrapped__:
            return _rebuild, (self.__wrapped__, self.name, self.backend)
        cloudpickle = sys.modules.get("cloudpickle")
        if self.__module__ == "__main__" and cloudpickle is not None:
            # The processes of Dask and of similar packages do not have the functions of a notebook.
            code = cloudpickle.dumps(self.__wrapped__)
            return _rebuild_of_main, (self.__qualname__, code, self.name, self.backend)
        return self.__qualname__

    @property
    def _native(self):
        """The native function, which is traced and made at the first use."""
        if self._compiled is None:
            self._compiled = self._make_native(self.parameters, *self._nodes())
        return self._compiled

    def _make_native(self, parameters, nodes, result):
        from ._warpframe import Function as NativeFunction

        options = {} if self.backend is None else {"backend": self.backend}
        return NativeFunction(self.name, list(parameters), nodes, result, **options)

    def _of_row(self, trace, row, args, kwargs):
        """The native function of the parameters that the function adds to a trace, with an object in the place of a row as its
        first argument, and with numbers as the others.
        """
        from ._side_effects import check_side_effects

        check_side_effects(self.__wrapped__)
        args = self._bind((row, *args), kwargs)
        with _tracing:
            try:
                nodes, result = trace.finish(self._inline(trace, args, None))
            finally:
                trace.is_open = False
        return self._make_native(trace.parameters, nodes, result)

    def _nodes(self):
        """The nodes of the trace, and the position of the result among them; see `Trace.finish`."""
        if self._traced is None:
            with _tracing:
                if self._traced is None:
                    self._traced = self._trace()
        return self._traced

    def _trace(self):
        from ._side_effects import check_side_effects

        if self._is_traced_now:
            raise self._recursion()
        check_side_effects(self.__wrapped__)
        trace = Trace(self.parameters)
        self._is_traced_now = True
        try:
            result = self._inline(trace, trace.symbols(), None)
            return trace.finish(result)
        finally:
            self._is_traced_now = False
            trace.is_open = False

    def _inline(self, trace, args, out):
        """Calls the Python function with the symbols of a trace."""
        if out is not None:
            raise TypeError(f"{self.__name__}: out= has no meaning for traced values; write the call without it")
        if self in trace.calls:
            raise self._recursion()
        trace.calls.append(self)
        positional = len(self._positional)
        try:
            keywords = dict(zip(self.parameters[positional:], args[positional:]))
            result = self.__wrapped__(*args[:positional], **keywords)
        except RecursionError as error:
            # An error that names a function inside of this one stays.
            if hasattr(error, "function"):
                raise
            raise self._recursion() from None
        finally:
            trace.calls.pop()
        self._check_result(trace, result)
        return result

    def _recursion(self):
        error = RecursionError(
            f"{self.__name__} calls itself, and compiled functions cannot be recursive, because they are traced once, with "
            "values that are not known; write a for loop over a fixed range"
        )
        error.function = self
        return error

    def _check_result(self, trace, result):
        """Refuses a result that is not one number."""
        code = self.__wrapped__.__code__
        place = f"{self.__name__} ({code.co_filename}:{code.co_firstlineno})"
        if result is None:
            raise TypeError(f"{place} returns nothing; write a return statement with the number that it computes")
        if isinstance(result, (tuple, list, dict, set)):
            kind = type(result).__name__
            raise TypeError(f"{place} returns a {kind}, but a function computes one number; write a function for each of them")
        if type(result) is not Symbol:
            try:
                trace.operand(result)
            except TypeError:
                kind = type(result).__name__
                raise TypeError(f"{place} returns a value of type {kind}; return a number") from None

    def _bind(self, args, kwargs):
        """The arguments in the order of the parameters."""
        if not kwargs and len(args) == self._arguments:
            return args
        positional = self._positional
        if len(args) > len(positional):
            raise TypeError(f"{self.__name__} takes {_count(len(positional), 'positional argument')}, but got {len(args)}")
        values = dict(zip(positional, args))
        for name, value in kwargs.items():
            if name not in self.parameters or name in self._positional_only:
                raise TypeError(f"{self.__name__} has no parameter {name} to be given by name; it has {_list(self.parameters)}")
            if name in values:
                raise TypeError(f"{self.__name__} got two values for the parameter {name}")
            values[name] = value
        missing = [name for name in self.parameters if name not in values and name not in self._defaults]
        if missing:
            raise TypeError(f"{self.__name__} lacks {_count(len(missing), 'argument')}: {_list(missing)}")
        return tuple(values[name] if name in values else self._defaults[name] for name in self.parameters)


def _find(module, qualname):
    """The object of this name in a module, if it is imported; otherwise None."""
    import sys

    found = sys.modules.get(module)
    for part in qualname.split("."):
        found = getattr(found, part, None)
    return found


def _rebuild(f, name, backend):
    return Function(f, name=name, backend=backend)


def _rebuild_of_main(qualname, code, name, backend):
    """The function of this name, if the main program of this process has it; otherwise a new one."""
    found = _find("__main__", qualname)
    if isinstance(found, Function):
        return found
    import cloudpickle

    return Function(cloudpickle.loads(code), name=name, backend=backend)


def _count(number, noun):
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _list(names):
    return ", ".join(names) if names else "none"


def _parameters(f):
    """The names of all parameters, of those that have no keyword, and of those that have a position."""
    if not isinstance(f, FunctionType):
        given = getattr(f, "__qualname__", None) or repr(f)
        kind = type(f).__name__
        raise TypeError(f"only Python functions, defined with def or lambda, can be compiled, and {given} is of type {kind}")
    code, name = f.__code__, f.__name__
    if code.co_flags & (_COROUTINE | _ASYNC_GENERATOR):
        raise TypeError(f"{name} is an async function; write it with def, and without await")
    if code.co_flags & _GENERATOR:
        raise TypeError(f"{name} is a generator; write return instead of yield")
    if code.co_flags & (_VARIABLE_POSITIONAL | _VARIABLE_KEYWORDS):
        raise TypeError(f"{name} has the parameters *args or **kwargs; write a parameter with a name for each argument")
    count = code.co_argcount + code.co_kwonlyargcount
    parameters = code.co_varnames[:count]
    if "out" in parameters:
        raise TypeError(f"{name} has a parameter out, which is the array for the result in calls; give it another name")
    return parameters, parameters[: code.co_posonlyargcount], parameters[: code.co_argcount]


def _defaults(f, parameters, positional):
    """The defaults of parameters by name."""
    import numpy as np

    given = f.__defaults__ or ()
    defaults = dict(zip(positional[len(positional) - len(given) :], given)) | (f.__kwdefaults__ or {})
    for name, value in defaults.items():
        if not isinstance(value, (int, float, np.integer, np.floating, np.bool)):
            raise TypeError(
                f"the default of the parameter {name} of {f.__name__} is {value!r}, but parameters are numbers; "
                "use a variable outside of the function, or a function for each choice"
            )
    return defaults
