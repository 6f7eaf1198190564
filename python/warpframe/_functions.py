"""Functions of numbers, for the bodies of traced functions.

Each has the name and the meaning of a function of NumPy. Of a symbol it is a symbol. Of anything else it is NumPy's function, so
that the same body works without tracing; a Python number of Python numbers, so that the types of constants stay open.
"""

import numpy as np

from ._trace import Symbol, dtype_name, trace_of, where as _where

# Name: what it is, the condition under which the result is not NaN if there is one, and an example of an argument and the result.
_UNARY = {
    "negative": ("The number with the other sign", "", "2.0", "-2.0"),
    "absolute": ("The absolute value", "", "-2.0", "2.0"),
    "invert": ("The integer with all bits inverted, or the negation of a Boolean", "", "5", "-6"),
    "logical_not": ("Whether the number is zero", "", "0.0", "True"),
    "sqrt": ("The square root", "x >= 0", "9.0", "3.0"),
    "cbrt": ("The cube root", "", "27.0", "3.0"),
    "square": ("The square", "", "3.0", "9.0"),
    "reciprocal": ("The reciprocal ``1 / x`` of a float", "", "4.0", "0.25"),
    "exp": ("e raised to the power of the number", "", "0.0", "1.0"),
    "exp2": ("2 raised to the power of the number", "", "3.0", "8.0"),
    "expm1": ("``exp(x) - 1``, which is accurate near zero", "", "0.0", "0.0"),
    "log": ("The natural logarithm, which is -inf of zero", "x >= 0", "1.0", "0.0"),
    "log2": ("The logarithm to base 2, which is -inf of zero", "x >= 0", "8.0", "3.0"),
    "log10": ("The logarithm to base 10, which is -inf of zero", "x >= 0", "100.0", "2.0"),
    "log1p": ("``log(1 + x)``, which is accurate near zero", "x >= -1", "0.0", "0.0"),
    "sin": ("The sine of an angle in radians", "x is finite", "0.0", "0.0"),
    "cos": ("The cosine of an angle in radians", "x is finite", "0.0", "1.0"),
    "tan": ("The tangent of an angle in radians", "x is finite", "0.0", "0.0"),
    "arcsin": ("The angle in radians, from -pi/2 to pi/2, that has this sine", "-1 <= x <= 1", "0.0", "0.0"),
    "arccos": ("The angle in radians, from 0 to pi, that has this cosine", "-1 <= x <= 1", "1.0", "0.0"),
    "arctan": ("The angle in radians, from -pi/2 to pi/2, that has this tangent", "", "0.0", "0.0"),
    "sinh": ("The hyperbolic sine", "", "0.0", "0.0"),
    "cosh": ("The hyperbolic cosine", "", "0.0", "1.0"),
    "tanh": ("The hyperbolic tangent", "", "0.0", "0.0"),
    "arcsinh": ("The number that has this hyperbolic sine", "", "0.0", "0.0"),
    "arccosh": ("The number, not less than 0, that has this hyperbolic cosine", "x >= 1", "1.0", "0.0"),
    "arctanh": ("The number that has this hyperbolic tangent", "-1 <= x <= 1", "0.0", "0.0"),
    "degrees": ("The angle in degrees, of one in radians", "", "0.0", "0.0"),
    "radians": ("The angle in radians, of one in degrees", "", "0.0", "0.0"),
    "floor": ("The greatest integer that is not greater; of the type of the argument", "", "-1.5", "-2.0"),
    "ceil": ("The least integer that is not less; of the type of the argument", "", "1.5", "2.0"),
    "trunc": ("The integer nearest to it towards zero; of the type of the argument", "", "-1.5", "-1.0"),
    "rint": ("The integer nearest to a float, the even one of two", "", "2.5", "2.0"),
    "sign": ("-1, 0 or 1, the sign of the number", "", "-3.0", "-1.0"),
    "isnan": ("Whether the number is NaN", "", "1.0", "False"),
    "isinf": ("Whether the number is infinite", "", "1.0", "False"),
    "isfinite": ("Whether the number is neither infinite nor NaN", "", "1.0", "True"),
}

_BINARY = {
    "add": ("The sum ``x + y``", "3, 2", "5"),
    "subtract": ("The difference ``x - y``", "3, 2", "1"),
    "multiply": ("The product ``x * y``", "3, 2", "6"),
    "divide": ("The quotient ``x / y``, which is a float", "3, 2", "1.5"),
    "floor_divide": ("The quotient ``x // y``, rounded to the integer that is not greater", "-3, 2", "-2"),
    "remainder": ("The remainder ``x % y``, which has the sign of `y`", "-3, 2", "1"),
    "fmod": ("The remainder of a division that is rounded towards zero, which has the sign of `x`", "-3.0, 2.0", "-1.0"),
    "power": ("`x` raised to the power of `y`", "3.0, 2.0", "9.0"),
    "minimum": ("The smaller of two numbers; NaN if one of them is NaN", "3, 2", "2"),
    "maximum": ("The greater of two numbers; NaN if one of them is NaN", "3, 2", "3"),
    "fmin": ("The smaller of two numbers; the other one if one of them is NaN", "3.0, 2.0", "2.0"),
    "fmax": ("The greater of two numbers; the other one if one of them is NaN", "3.0, 2.0", "3.0"),
    "arctan2": ("The angle in radians, from -pi to pi, of the point with the ordinate `x` and the abscissa `y`", "0.0, 1.0", "0.0"),
    "hypot": ("The length ``sqrt(x * x + y * y)``, without overflow in between", "3.0, 4.0", "5.0"),
    "copysign": ("The absolute value of `x` with the sign of `y`", "3.0, -0.0", "-3.0"),
    "less": ("Whether ``x < y``", "3, 2", "False"),
    "less_equal": ("Whether ``x <= y``", "3, 2", "False"),
    "greater": ("Whether ``x > y``", "3, 2", "True"),
    "greater_equal": ("Whether ``x >= y``", "3, 2", "True"),
    "equal": ("Whether ``x == y``, which NaN is to no number", "3, 2", "False"),
    "not_equal": ("Whether ``x != y``", "3, 2", "True"),
    "bitwise_and": ("``x & y``, of integers or Booleans", "6, 3", "2"),
    "bitwise_or": ("``x | y``, of integers or Booleans", "6, 3", "7"),
    "bitwise_xor": ("``x ^ y``, of integers or Booleans", "6, 3", "5"),
    "left_shift": ("``x << y``, the bits of the integer `x` moved to the left", "3, 2", "12"),
    "right_shift": ("``x >> y``, the bits of the integer `x` moved to the right", "12, 2", "3"),
    "logical_and": ("Whether neither number is zero", "3, 0", "False"),
    "logical_or": ("Whether one of two numbers is not zero", "3, 0", "True"),
    "logical_xor": ("Whether one of two numbers is zero and the other one is not", "3, 0", "True"),
}

# Other names: those of the module math, of SQL and of NumPy's array API.
_ALIASES = {
    "abs": "absolute",
    "ln": "log",
    "asin": "arcsin",
    "acos": "arccos",
    "atan": "arctan",
    "atan2": "arctan2",
    "asinh": "arcsinh",
    "acosh": "arccosh",
    "atanh": "arctanh",
    "pow": "power",
    "mod": "remainder",
    "true_divide": "divide",
}

_ARGUMENTS = """x{also_y} : number or array
        In a traced function, a traced value or a number. Otherwise as of `numpy.{name}`."""


def _weak(result, *arguments):
    """A result of NumPy; a Python number if it is one of Python numbers."""
    if all(type(argument) in (float, int, bool) for argument in arguments):
        return result.item()
    return result


def _unary(name, summary, domain, argument, result):
    ufunc = getattr(np, name)

    def apply(x, /):
        if type(x) is Symbol:
            return x._trace.apply(name, x)
        return _weak(ufunc(x), x)

    summary = f"{summary}; NaN unless ``{domain}``." if domain else f"{summary}."
    return _documented(apply, name, summary, "", argument, result)


def _binary(name, summary, arguments, result):
    ufunc = getattr(np, name)

    def apply(x, y, /):
        trace = trace_of((x, y))
        if trace is not None:
            return trace.apply(name, x, y)
        return _weak(ufunc(x, y), x, y)

    return _documented(apply, name, f"{summary}.", ", y", arguments, result)


def _documented(apply, name, summary, also_y, arguments, result):
    apply.__name__ = apply.__qualname__ = name
    apply.__module__ = "warpframe"
    apply.__doc__ = f"""{summary}

    Parameters
    ----------
    {_ARGUMENTS.format(also_y=also_y, name=name)}

    Returns
    -------
    number or array
        A traced value in a traced function. Otherwise that of `numpy.{name}`; a Python number of Python numbers.

    Examples
    --------
    >>> import warpframe as wf
    >>> wf.{name}({arguments})
    {result}
    """
    return apply


def where(condition, x, y, /):
    """`x` where the condition is true, and `y` elsewhere.

    Both are computed in every row, so that ``where(b != 0, a / b, 0)`` has no error, as it has none in NumPy.

    Parameters
    ----------
    condition : Boolean, number or array
        The condition. Numbers other than zero, and NaN, are true.
    x, y : number or array
        The values, which are converted to a type of both.

    Returns
    -------
    number or array
        A traced value in a traced function. Otherwise that of `numpy.where`; a Python number of Python numbers.

    Examples
    --------
    >>> import warpframe as wf
    >>> wf.where(2 < 3, 1.5, 2.5)
    1.5
    """
    trace = trace_of((condition, x, y))
    if trace is not None:
        return _where(trace, condition, x, y)
    return _weak(np.where(condition, x, y), condition, x, y)


def clip(x, minimum=None, maximum=None, /):
    """`x`, limited to a range; NaN stays.

    Parameters
    ----------
    x : number or array
        The number.
    minimum, maximum : number or array, optional
        The limits. `None` is no limit.

    Returns
    -------
    number or array
        A traced value in a traced function. Otherwise that of `numpy.clip`; a Python number of Python numbers.

    Examples
    --------
    >>> import warpframe as wf
    >>> wf.clip(2.5, 0.0, 1.0)
    1.0
    """
    result = x
    if minimum is not None:
        result = globals()["maximum"](result, minimum)
    if maximum is not None:
        result = globals()["minimum"](result, maximum)
    return result


def round(x, decimals=0, /):
    """`x`, rounded to a number of decimals, half to even.

    Parameters
    ----------
    x : number or array
        The number.
    decimals : int
        The digits after the point; those before it if it is negative. As NumPy does, the number is scaled, rounded, and scaled
        back. An integer stays an integer if it is 0; otherwise the result is a float.

    Returns
    -------
    number or array
        A traced value in a traced function. Otherwise that of `numpy.round`; a Python number of Python numbers.

    Examples
    --------
    >>> import warpframe as wf
    >>> wf.round(2.5), wf.round(3.14159, 2)
    (2.0, 3.14)
    """
    if type(x) is Symbol:
        return x.round(decimals)
    return _weak(np.round(x, decimals), x)


def cast(x, dtype, /):
    """`x`, converted to a type.

    Parameters
    ----------
    x : number or array
        The number. Floats are truncated to integers, and integers wrap around at the width of the type.
    dtype : dtype_like
        bool, int8 to int64, uint8 to uint64, float32 or float64: of NumPy, or Python's `bool`, `int` and `float`.

    Returns
    -------
    number or array
        A traced value in a traced function. Otherwise an array or a number of NumPy.

    Raises
    ------
    TypeError
        There are no values of this type.

    Examples
    --------
    >>> import warpframe as wf
    >>> wf.cast(2.75, "int32")
    np.int32(2)
    """
    if type(x) is Symbol:
        return x.astype(dtype)
    return np.asarray(x).astype(dtype_name(dtype))[()]


_GENERATED = {name: _unary(name, *entry) for name, entry in _UNARY.items()}
_GENERATED |= {name: _binary(name, *entry) for name, entry in _BINARY.items()}
_GENERATED |= {alias: _GENERATED[name] for alias, name in _ALIASES.items()}
globals().update(_GENERATED)

__all__ = ["cast", "clip", "round", "where", *_GENERATED]
