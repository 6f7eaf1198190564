"""Errors of tracing: which line of the user's code cannot be traced, why, and what to write instead.

A symbol knows only that Python asked it for, say, its truth. The instruction that asked is found in the calling frame, and its
position in the source tells an ``if`` from an ``and`` or a call of ``max``.
"""

import os
import sys

import numpy as np

_PACKAGE = os.path.dirname(os.path.abspath(__file__)) + os.sep
_NUMPY = os.path.dirname(os.path.abspath(np.__file__)) + os.sep
_STANDARD_LIBRARY = os.path.dirname(os.path.abspath(os.__file__)) + os.sep

_UNKNOWN = "is not known while the function is traced"
_UNKNOWNS = "are not known while the function is traced"

# What Python asks for the truth of a value, and what to write instead.
_CONDITIONS = {
    "if": (f"the condition of an if {_UNKNOWN}", "wf.where(condition, a, b)"),
    "while": (
        f"the condition of a while loop {_UNKNOWN}",
        "a for loop over a fixed range, with wf.where in it",
    ),
    "assert": (f"an assert needs a value that {_UNKNOWN}", "it outside of the function"),
    "and": (f"and needs values that {_UNKNOWNS}", "(a) & (b)"),
    "or": (f"or needs values that {_UNKNOWNS}", "(a) | (b)"),
    "not": (f"not needs a value that {_UNKNOWN}", "~(a)"),
    "chain": ("Python evaluates a chained comparison with and", "(a < b) & (b < c)"),
    "in": ("in compares with one element after the other", "(x == a) | (x == b)"),
    "min": (f"min needs values that {_UNKNOWNS}", "wf.minimum(a, b)"),
    "max": (f"max needs values that {_UNKNOWNS}", "wf.maximum(a, b)"),
    "sorted": (f"sorted needs values that {_UNKNOWNS}", "wf.minimum and wf.maximum"),
    "any": (f"any needs values that {_UNKNOWNS}", "(a) | (b)"),
    "all": (f"all needs values that {_UNKNOWNS}", "(a) & (b)"),
    "bool": (f"bool needs a value that {_UNKNOWN}", "x.astype(bool)"),
    None: (
        f"the truth of a value {_UNKNOWN}",
        "wf.where(condition, a, b), and & | ~ instead of and, or, not",
    ),
}

# Functions of the module math: those with another name in warpframe, and those that are expressions of others.
_MATH = {
    "asin": "wf.arcsin(x)",
    "acos": "wf.arccos(x)",
    "atan": "wf.arctan(x)",
    "asinh": "wf.arcsinh(x)",
    "acosh": "wf.arccosh(x)",
    "atanh": "wf.arctanh(x)",
    "atan2": "wf.arctan2(y, x)",
    "dist": "wf.hypot(a, b)",
    "fabs": "abs(x)",
    "fma": "x * y + z",
    "fsum": "sum(values)",
    "isclose": "abs(a - b) <= tolerance",
    "ldexp": "x * 2.0 ** i",
    "log": "wf.log(x), and wf.log(x) / wf.log(base) for another base",
    "modf": "x - wf.trunc(x) and wf.trunc(x)",
    "pow": "x ** y",
    "remainder": "x - y * wf.round(x / y)",
}
_MATH_OF_THE_SAME_NAME = frozenset(
    "sqrt cbrt exp exp2 expm1 log1p log2 log10 sin cos tan sinh cosh tanh hypot copysign fmod degrees radians "
    "isnan isinf isfinite".split()
)
_CONVERSIONS = {"float": "x.astype(float)", "int": "x.astype(int)", "bool": "x.astype(bool)"}


def untraceable(reason, instead=None, *, error=TypeError):
    """The error of what cannot be traced.

    Parameters
    ----------
    reason : str
        Why it cannot be traced.
    instead : str, optional
        What to write instead.
    error : type
        The type of the exception.
    """
    return _error(_user_frame(), reason, instead, error)


def unknown_condition():
    """The error of a traced value that Python asks for its truth."""
    frame = _user_frame()
    construct = None
    path = _syntax_path(frame)
    if path:
        construct = _construct(path, frame)
    reason, instead = _CONDITIONS.get(construct, _CONDITIONS[None])
    return _error(frame, reason, instead, TypeError)


def unknown_number(conversion):
    """The error of a traced value that is converted to a number or an array.

    Parameters
    ----------
    conversion : {"float", "int", "index", "complex", "array"}
        What Python or NumPy asks for.
    """
    frame = _user_frame()
    called = _called(_syntax_path(frame), frame)
    name = getattr(called, "__name__", None)
    if getattr(called, "__module__", None) in ("math", "cmath") and name:
        reason = f"math.{name} needs a value that {_UNKNOWN}"
        if name in _MATH_OF_THE_SAME_NAME:
            return _error(frame, reason, f"wf.{name} or np.{name}", TypeError)
        if name in _MATH:
            return _error(frame, reason, _MATH[name], TypeError)
        return _error(frame, f"{reason}, and warpframe has no such function", None, TypeError)
    if called is range:
        return _error(frame, "the length of the range is not known while the function is traced", "a fixed range", TypeError)
    if isinstance(called, type) and issubclass(called, np.generic):
        return _error(frame, f"np.{name} needs a value that {_UNKNOWN}", f"x.astype(np.{name})", TypeError)
    if conversion == "array":
        reason = "a traced value is not an array, because the function is traced with one row"
        return _error(frame, reason, "operators and functions of numbers", TypeError)
    if conversion == "complex":
        return _error(frame, "complex numbers are not supported", None, TypeError)
    if called in (float, int, bool):
        return _error(frame, f"{name} needs a value that {_UNKNOWN}", _CONVERSIONS[name], TypeError)
    if conversion == "index":
        reason = "a traced value cannot be an index, a length or a count"
        return _error(frame, reason, "wf.where(condition, a, b) to choose between values", TypeError)
    instead = "functions of warpframe or NumPy, or x.astype(" + conversion + ") to convert it"
    return _error(frame, f"Python needs a value that {_UNKNOWN}", instead, TypeError)


def _error(frame, reason, instead, error):
    sentence = f"cannot trace {_place(frame)}: {reason}"
    if instead is not None:
        sentence += f"; write {instead}"
    return error(sentence)


def _user_frame():
    """The frame of the innermost code that is neither warpframe's nor a library's."""
    frame = sys._getframe(2)
    first = frame
    while frame is not None:
        name = frame.f_code.co_filename
        library = name.startswith((_PACKAGE, _NUMPY, "<frozen ")) or (
            name.startswith(_STANDARD_LIBRARY) and "site-packages" not in name
        )
        if not library:
            return frame
        frame = frame.f_back
    return first


def _place(frame):
    """The line of a frame: its text, and its file and number."""
    import linecache

    name, number = frame.f_code.co_filename, frame.f_lineno
    text = linecache.getline(name, number, frame.f_globals).strip()
    return f"`{text}` ({name}:{number})" if text else f"{name}:{number}"


def _syntax_path(frame):
    """The syntax node whose instruction a frame executes, and those around it from the inside out; empty if unknown."""
    import ast
    import itertools
    import linecache

    code = frame.f_code
    position = next(itertools.islice(code.co_positions(), frame.f_lasti // 2, None), None)
    source = "".join(linecache.getlines(code.co_filename, frame.f_globals))
    if position is None or None in position or not source:
        return []
    try:
        root = ast.parse(source)
        return _find(root, position)
    except (SyntaxError, RecursionError):
        # A cell of a notebook with commands that are not Python, or an expression of very many terms.
        return []


def _find(root, position):
    """The innermost node at a position, and the nodes around it from the inside out; empty if there is none."""
    import ast

    line, end_line, column, end_column = position
    found, path = [], []

    def visit(node):
        path.append(node)
        if isinstance(node, (ast.expr, ast.stmt)):
            here = (node.lineno, node.end_lineno, node.col_offset, node.end_col_offset)
            if here == (line, end_line, column, end_column):
                found[:] = path
        for child in ast.iter_child_nodes(node):
            visit(child)
        path.pop()

    visit(root)
    return found[::-1]


def _construct(path, frame):
    """What asks for the truth of a value; a key of `_CONDITIONS`."""
    import ast

    if isinstance(path[0], (ast.If, ast.While, ast.Assert)):
        # The jump of a condition that is a name, or consists of names, has the position of the statement.
        path = [path[0].test, *path]
    for child, node in zip([None, *path], path):
        if isinstance(node, ast.BoolOp):
            return "and" if isinstance(node.op, ast.And) else "or"
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return "not"
        if isinstance(node, ast.Compare):
            if len(node.ops) > 1:
                return "chain"
            if isinstance(node.ops[0], (ast.In, ast.NotIn)) and child is None:
                return "in"
        if isinstance(node, ast.Call) and child is None:
            return getattr(_called(path, frame), "__name__", None)
        if isinstance(node, (ast.If, ast.IfExp)):
            return "if"
        if isinstance(node, ast.While):
            return "while"
        if isinstance(node, ast.Assert):
            return "assert"
        if isinstance(node, (ast.comprehension, ast.match_case)):
            return "if"
        if isinstance(node, ast.stmt):
            return None
    return None


def _called(path, frame):
    """The object that a call calls, without evaluating code; None if it is not known."""
    import ast

    if not path or not isinstance(path[0], ast.Call):
        return None
    node, names = path[0].func, []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    if not isinstance(node, ast.Name):
        return None
    for scope in (frame.f_locals, frame.f_globals, frame.f_builtins):
        if node.id in scope:
            found = scope[node.id]
            break
    else:
        return None
    for name in reversed(names):
        # Attributes of other objects can be computed by code.
        if not isinstance(found, (type, type(sys))):
            return None
        found = vars(found).get(name)
    return found
