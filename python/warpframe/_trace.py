"""Tracing: a Python function is called once with symbols, which record the operations on them as a list of nodes.

A node is a tuple of its operation and operands, which are positions of earlier nodes::

    ("param", 0)             the parameter at this position
    ("const", None, 2)       a Python number, which takes the type of what it is combined with
    ("const", "float32", 2)  a number of a NumPy type
    ("cast", "float32", 0)   a conversion
    ("sqrt", 0), ("add", 0, 1), ("where", 2, 0, 1)

All other operations have the names of NumPy's functions, and their meaning. Equal nodes are merged.
"""

import operator

import numpy as np

from ._trace_errors import unknown_condition, unknown_number, untraceable

#: The NumPy types that values can have.
DTYPES = frozenset(
    "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64".split()
)

#: Operations of one operand.
UNARY = frozenset(
    "negative absolute invert logical_not sqrt cbrt square reciprocal exp exp2 expm1 log log2 log10 log1p sin cos tan arcsin "
    "arccos arctan sinh cosh tanh arcsinh arccosh arctanh degrees radians floor ceil trunc rint round sign isnan isinf isfinite".split()
)

#: Operations of two operands.
BINARY = frozenset(
    "add subtract multiply divide floor_divide remainder fmod power minimum maximum fmin fmax arctan2 hypot copysign less "
    "less_equal greater greater_equal equal not_equal bitwise_and bitwise_or bitwise_xor left_shift right_shift logical_and "
    "logical_or logical_xor".split()
)

_LONGEST_INTEGER = range(-(2**63), 2**63)


class Trace:
    """The nodes that one call of a function with symbols records.

    Parameters
    ----------
    parameters : sequence of str
        The names of the function's parameters.
    """

    __slots__ = ("parameters", "nodes", "calls", "is_open", "_positions")

    def __init__(self, parameters):
        self.parameters = list(parameters)
        self.nodes = []
        #: The functions whose calls are being traced, from the outside in.
        self.calls = []
        self.is_open = True
        self._positions = {}

    def symbols(self):
        """A symbol for each parameter."""
        return [self._record(("param", position)) for position in range(len(self.parameters))]

    def add_parameter(self, name):
        """The symbol of one more parameter."""
        self.parameters.append(name)
        return self._record(("param", len(self.parameters) - 1))

    def apply(self, operation, *operands):
        """The symbol of an operation on symbols and numbers."""
        return self._record((operation, *[self.operand(value) for value in operands]))

    def cast(self, value, dtype):
        """The symbol of a conversion to a NumPy type."""
        try:
            name = dtype_name(dtype)
        except TypeError as error:
            raise untraceable(str(error)) from None
        return self._record(("cast", name, self.operand(value)))

    def operand(self, value):
        """The position of the node of a symbol or a number."""
        if type(value) is not Symbol:
            return self.operand(self._record(_constant(value)))
        if not self.is_open:
            raise untraceable(
                "a value is used after the call that it belongs to, because the function has stored it",
                "functions that only compute and return a value",
            )
        if value._trace is not self:
            raise untraceable("a value belongs to the trace of another function", "it as an argument")
        return value._position

    def _record(self, node):
        # Numbers that are equal and have other types or signs are other constants.
        key = node if node[0] != "const" else (*node, type(node[2]), str(node[2]))
        position = self._positions.get(key)
        if position is None:
            position = self._positions[key] = len(self.nodes)
            self.nodes.append(node)
        return Symbol(self, position)

    def finish(self, result):
        """Ends the trace.

        Returns
        -------
        nodes : list of tuple
            The parameters, and the nodes that the result depends on, operands first.
        result : int
            The position of the node of the result.
        """
        last = self.operand(result)
        self.is_open = False
        needed = {position for position, node in enumerate(self.nodes) if node[0] == "param"} | {last}
        for position in range(last, -1, -1):
            if position in needed:
                needed.update(_operands(self.nodes[position]))
        moved = {position: new for new, position in enumerate(sorted(needed))}
        nodes = [_with_operands(self.nodes[position], moved) for position in sorted(needed)]
        return nodes, moved[last]


def _operands(node):
    if node[0] in ("param", "const"):
        return ()
    return node[2:] if node[0] == "cast" else node[1:]


def _with_operands(node, moved):
    if node[0] in ("param", "const"):
        return node
    first = 2 if node[0] == "cast" else 1
    return (*node[:first], *[moved[position] for position in node[first:]])


def dtype_name(dtype):
    """The name of a NumPy type.

    Parameters
    ----------
    dtype : dtype_like
        A type, as `numpy.dtype` takes it.

    Raises
    ------
    TypeError
        It is not a type of numbers that warpframe has.
    """
    try:
        name = np.dtype(dtype).name
    except TypeError:
        name = repr(dtype)
    if name not in DTYPES:
        raise TypeError(f"there are no values of type {name}, only of bool, int8 to int64, uint8 to uint64, float32 and float64")
    return name


def _constant(value):
    """The node of a number."""
    if isinstance(value, np.ndarray) and value.ndim == 0 and value.dtype != object:
        value = value[()]
    if isinstance(value, np.generic):
        name = value.dtype.name
        if name in DTYPES:
            return ("const", name, value.item())
        raise untraceable(f"a constant has the type {name}", "a number of Python, np.float32 or np.float64")
    # bool is a subclass of int.
    if isinstance(value, bool):
        return ("const", None, value)
    if isinstance(value, float):
        return ("const", None, float(value))
    if isinstance(value, int):
        if int(value) not in _LONGEST_INTEGER:
            raise untraceable(
                f"the integer {int(value)} is outside of the range of int64", "it as a float", error=OverflowError
            )
        return ("const", None, int(value))
    raise untraceable(*_not_a_number(value))


def _not_a_number(value):
    """Why a value cannot be used with a traced one, and what to write instead."""
    kind = type(value).__name__
    if value is None:
        return "None is not a number, and the result of a function without return", "a return statement"
    if isinstance(value, (str, bytes)):
        return f"the text {value!r} is not a number", "expressions of numbers"
    if isinstance(value, complex):
        return "complex numbers are not supported", None
    if isinstance(value, (list, tuple, set, dict, range)):
        return f"a {kind} is not a number", "an expression for each of its elements"
    if hasattr(value, "__array__") or hasattr(value, "__arrow_c_array__") or hasattr(value, "__arrow_c_stream__"):
        return f"a constant of type {kind} is an array", "a parameter of the function, and pass the array as an argument"
    if callable(value):
        return f"{getattr(value, '__name__', kind)} is a function, not a number", "a call of it"
    return f"a constant of type {kind} is not a number", "float(value)"


def _operator(operation):
    def method(self, other):
        return self._trace.apply(operation, self, other)

    return method


def _reflected(operation):
    def method(self, other):
        return self._trace.apply(operation, other, self)

    return method


def _unary(operation):
    def method(self):
        return self._trace.apply(operation, self)

    return method


def _refuse(reason, instead=None):
    def method(self, *args, **kwargs):
        raise untraceable(reason, instead)

    return method


class Symbol:
    """A value that is not known yet: a parameter of a traced function, or the result of operations on parameters.

    Python's operators, NumPy's universal functions and warpframe's functions of symbols are symbols. What needs the value
    raises `TypeError`, with the line of the function and what to write instead.
    """

    __slots__ = ("_trace", "_position")

    #: Operands of NumPy types leave operators to the symbol.
    __array_priority__ = 1000.0

    def __init__(self, trace, position):
        self._trace = trace
        self._position = position

    __add__, __radd__ = _operator("add"), _reflected("add")
    __sub__, __rsub__ = _operator("subtract"), _reflected("subtract")
    __mul__, __rmul__ = _operator("multiply"), _reflected("multiply")
    __truediv__, __rtruediv__ = _operator("divide"), _reflected("divide")
    __floordiv__, __rfloordiv__ = _operator("floor_divide"), _reflected("floor_divide")
    __mod__, __rmod__ = _operator("remainder"), _reflected("remainder")
    __and__, __rand__ = _operator("bitwise_and"), _reflected("bitwise_and")
    __or__, __ror__ = _operator("bitwise_or"), _reflected("bitwise_or")
    __xor__, __rxor__ = _operator("bitwise_xor"), _reflected("bitwise_xor")
    __lshift__, __rlshift__ = _operator("left_shift"), _reflected("left_shift")
    __rshift__, __rrshift__ = _operator("right_shift"), _reflected("right_shift")
    __lt__, __le__ = _operator("less"), _operator("less_equal")
    __gt__, __ge__ = _operator("greater"), _operator("greater_equal")
    __eq__, __ne__ = _operator("equal"), _operator("not_equal")
    __neg__, __abs__, __invert__ = _unary("negative"), _unary("absolute"), _unary("invert")
    # math.floor, math.ceil and math.trunc call these.
    __floor__, __ceil__, __trunc__ = _unary("floor"), _unary("ceil"), _unary("trunc")

    def __pos__(self):
        return self

    def __pow__(self, other, modulus=None):
        if modulus is not None:
            raise untraceable("pow with a modulus is not supported", "pow(x, y) % modulus")
        return self._trace.apply("power", self, other)

    def __rpow__(self, other, modulus=None):
        return self._trace.apply("power", other, self)

    def __divmod__(self, other):
        return self // other, self % other

    def __rdivmod__(self, other):
        return other // self, other % self

    def __round__(self, ndigits=None):
        return self.round(0 if ndigits is None else ndigits)

    def round(self, decimals=0):
        """Rounds half to even, as `numpy.round`. Integers stay what they are if `decimals` is 0."""
        if type(decimals) is Symbol or not hasattr(decimals, "__index__"):
            raise untraceable("the number of digits is not a constant integer", "round(x, 2)")
        digits = operator.index(decimals)
        if digits == 0:
            return self._trace.apply("round", self)
        try:
            scale = 10.0 ** abs(digits)
        except OverflowError:
            raise untraceable("the number of digits is beyond the range of floats", "round(x, 2)") from None
        if digits > 0:
            return (self * scale).round() / scale
        return (self / scale).round() * scale

    def clip(self, min=None, max=None):
        """Limits the value, as `numpy.clip`."""
        result = self
        if min is not None:
            result = self._trace.apply("maximum", result, min)
        if max is not None:
            result = self._trace.apply("minimum", result, max)
        return result

    def astype(self, dtype, copy=True):
        """Converts the value to a NumPy type, as `numpy.ndarray.astype`.

        Parameters
        ----------
        dtype : dtype_like
            The type.
        copy : bool
            Has no effect: accepted because arrays have it.
        """
        return self._trace.cast(self, dtype)

    def __array_ufunc__(self, ufunc, method, *inputs, **kwargs):
        if method != "__call__":
            raise untraceable(
                f"np.{ufunc.__name__}.{method} combines rows, and a function computes one row at a time",
                "the reduction outside, such as f.sum(x)",
            )
        if kwargs:
            names = ", ".join(f"{name}=" for name in kwargs)
            raise untraceable(f"np.{ufunc.__name__} is called with {names}", "a call without it")
        if ufunc is np.divmod:
            return self._trace.apply("floor_divide", *inputs), self._trace.apply("remainder", *inputs)
        if ufunc is np.positive:
            return self
        if ufunc is np.fabs:
            return abs(self * 1.0)
        name = _UFUNCS.get(ufunc)
        if name is None:
            raise untraceable(f"{ufunc.__name__} has no counterpart in warpframe", "it with other functions")
        return self._trace.apply(name, *inputs)

    def __array_function__(self, function, types, args, kwargs):
        traced = _ARRAY_FUNCTIONS.get(function)
        if traced is None:
            raise untraceable(
                f"np.{function.__name__} is a function of arrays, and the function is traced with one row",
                "operators, np.where and functions of numbers",
            )
        return traced(self._trace, *args, **kwargs)

    def __bool__(self):
        raise unknown_condition()

    def __float__(self):
        raise unknown_number("float")

    def __int__(self):
        raise unknown_number("int")

    def __index__(self):
        raise unknown_number("index")

    def __complex__(self):
        raise unknown_number("complex")

    def __array__(self, *args, **kwargs):
        raise unknown_number("array")

    def __repr__(self):
        node = self._trace.nodes[self._position]
        name = self._trace.parameters[node[1]] if node[0] == "param" else node[2] if node[0] == "const" else node[0]
        return f"<traced value {name}>"

    __str__ = __format__ = __bytes__ = _refuse(
        "a traced value has no text, because the function is called once, with symbols instead of numbers",
        "the print outside of the function",
    )
    __len__ = _refuse("a traced value has no length: it is one number", "expressions of numbers")
    __iter__ = __reversed__ = _refuse("a traced value cannot be iterated over: it is one number", "expressions of numbers")
    __getitem__ = __setitem__ = __delitem__ = _refuse(
        "a traced value cannot be indexed: it is one number of the row that is computed", "a parameter for each array"
    )
    __contains__ = _refuse("a traced value has no elements: it is one number", "an == comparison")
    __hash__ = _refuse(
        "a traced value cannot be in a set or the key of a dict, because it is not known", "(x == a) | (x == b), or wf.where"
    )
    __call__ = _refuse("a traced value is a number, and cannot be called")
    __matmul__ = __rmatmul__ = _refuse("@ multiplies matrices, and a traced value is one number", "sums of products")
    __enter__ = __exit__ = _refuse("a traced value is a number, and cannot be used in a with statement")

    def __getattr__(self, name):
        # Libraries look for special attributes to see what an object is.
        if name.startswith("__"):
            raise AttributeError(name)
        if name in _REDUCTIONS:
            reason, instead = f".{name} reduces an array, and the function is traced with one row", _REDUCTIONS[name]
        elif name in ("dtype", "shape", "size", "ndim", "itemsize", "nbytes"):
            reason, instead = f".{name} is not known: the function is traced once, for arrays of all types and shapes", None
        else:
            reason, instead = f"a traced value has no attribute {name}", "operators and functions of numbers"
        raise untraceable(reason, instead, error=AttributeError)


_UFUNCS = {getattr(np, name): name for name in (UNARY | BINARY) - {"round"}} | {np.deg2rad: "radians", np.rad2deg: "degrees"}

_REDUCTIONS = {
    name: f"the reduction outside of the function, such as f.{name}(x)"
    for name in ("sum", "mean", "min", "max", "var", "std")
} | dict.fromkeys(
    ("any", "all", "prod", "cumsum", "cumprod", "argmin", "argmax", "ptp"), "the reduction outside of the function"
)


def where(trace, condition, yes=None, no=None):
    """The symbol of `numpy.where` with three arguments."""
    if yes is None or no is None:
        raise untraceable("where with one argument finds rows, and a function computes one row", "wf.where(condition, a, b)")
    return trace.apply("where", condition, yes, no)


def _select(trace, condlist, choicelist, default=0):
    if len(condlist) != len(choicelist):
        raise untraceable("np.select has conditions and choices of different numbers", "a choice for each condition")
    result = default
    for condition, choice in zip(reversed(condlist), reversed(choicelist)):
        result = trace.apply("where", condition, choice, result)
    return result


def _clip(trace, a, a_min=None, a_max=None, *, min=None, max=None):
    result = a
    for operation, bounds in (("maximum", (a_min, min)), ("minimum", (a_max, max))):
        for bound in bounds:
            if bound is not None:
                result = trace.apply(operation, result, bound)
    return result


def _round(trace, a, decimals=0):
    if type(a) is not Symbol:
        raise untraceable("the number of digits is not a constant integer", "round(x, 2)")
    return a.round(decimals)


def _fix(trace, x):
    return trace.apply("trunc", x)


# Functions of NumPy that are no universal functions.
_ARRAY_FUNCTIONS = {
    np.where: where,
    np.select: _select,
    np.clip: _clip,
    np.round: _round,
    np.around: _round,
    np.fix: _fix,
}


def trace_of(values):
    """The trace of the first symbol among values; None if there is no symbol."""
    for value in values:
        if type(value) is Symbol:
            return value._trace
    return None
