"""SQL expressions over arrays: `evaluate`."""

import functools
import sys

from ._warpframe import Expression

#: Parsed expressions, with the forms that are compiled for each combination of types.
_expression = functools.lru_cache(maxsize=256)(Expression)


def evaluate(expression, variables=None, /, *, out=None):
    """Evaluates a SQL expression over arrays, on all cores, without a query.

    The expression has the meaning of SQL: `/` of integers is integer division, `sqrt` of a negative number is an error, and
    nulls propagate. The names of variables are Python's: capital letters matter.

    Parameters
    ----------
    expression : str
        Such as ``"ln(x) * ln(y) + 1"``. Double quotes are around names, single quotes around text.
    variables : mapping, optional
        The arrays and numbers by name. By default, the local and then the global variables of the caller.
    out : numpy.ndarray, optional
        The array for the result, of its type and shape.

    Returns
    -------
    numpy.ndarray, or the kind of the first argument that is a Series, a masked array or an Arrow array
        Of the shape that the arrays have together, broadcast as NumPy does; a scalar if there are no arrays.

    Raises
    ------
    NameError
        A variable does not exist.
    TypeError
        A variable is no number, and no array of numbers.
    ValueError
        The expression is not valid, or the shapes do not fit together.
    ArithmeticError
        The expression is an error in a row, such as a division of an integer by zero.

    Examples
    --------
    >>> import numpy as np, warpframe as wf
    >>> x = np.array([1.0, 2.0, 4.0])
    >>> wf.evaluate("x * x + 1")
    array([ 2.,  5., 17.])
    >>> wf.evaluate("CASE WHEN t < 0 THEN 0 ELSE t END", {"t": np.array([-1.5, 2.5])})
    array([0. , 2.5])
    """
    if not isinstance(expression, str):
        raise TypeError(f"the expression is of type {type(expression).__name__}: use a text such as 'x * 2'")
    native = _expression(expression)
    if variables is None:
        frame = sys._getframe(1)
        local, global_ = frame.f_locals, frame.f_globals
    else:
        local = global_ = variables
    try:
        args = tuple([local[name] if name in local else global_[name] for name in native.names])
    except KeyError as error:
        raise NameError(f"the variable {error.args[0]} of the expression '{expression}' does not exist") from None
    result = native.call(args, out)
    if result is NotImplemented:
        from . import _containers

        return _containers.call(native, args, out)
    return result
