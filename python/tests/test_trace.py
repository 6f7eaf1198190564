"""Tracing: the nodes of functions compute what the functions compute on arrays, and what cannot be traced says so."""

import linecache
import math
import re
import textwrap

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import warpframe._functions as wf
from warpframe._function import function
from warpframe._trace import BINARY, DTYPES, UNARY


def trace(f):
    """The nodes of a function, and the position of its result."""
    return function(f)._nodes()


def evaluate(nodes, result, arguments):
    """Evaluates nodes by NumPy."""
    values = []
    for name, *rest in nodes:
        if name == "param":
            values.append(arguments[rest[0]])
        elif name == "const":
            dtype, value = rest
            values.append(value if dtype is None else np.dtype(dtype).type(value))
        elif name == "cast":
            values.append(np.asarray(values[rest[1]]).astype(rest[0]))
        elif name == "where":
            values.append(np.where(*[values[i] for i in rest]))
        else:
            assert name in UNARY | BINARY
            values.append(getattr(np, name)(*[values[i] for i in rest]))
    return values[result]


def run(text, **scope):
    """A function of a, b and c whose body is this expression."""
    return eval(f"lambda a, b, c: {text}", {"np": np, "wf": wf, "math": math, **scope})


# --- Random expressions.

INFIX = "+ - * / // % & | ^ << >> < <= > >= == !=".split()
PREFIX = ["-", "~", "abs"]
CONSTANTS = ["2", "3", "-1", "0", "0.5", "-2.25", "1e300", "True", "np.float32(1.5)", "np.int8(3)", "np.float64(0.1)", "np.bool_(True)"]
FUNCTIONS = [f"wf.{name}" for name in sorted(UNARY)] + [f"np.{name}" for name in sorted(UNARY)]
FUNCTIONS_OF_TWO = [f"wf.{name}" for name in sorted(BINARY)] + [f"np.{name}" for name in sorted(BINARY)]


FORMS = [
    ("({1} {0} {2})", INFIX, 2),
    ("{}({})", PREFIX, 1),
    # The power of an array of Booleans is one of int8 or int64 in NumPy: of that of the operator or the function.
    ("(({1} + 0) ** {0})", ["2", "3.0"], 1),
    ("{}({})", FUNCTIONS, 1),
    ("{}({}, {})", FUNCTIONS_OF_TWO, 2),
    ("{}.where({}, {}, {})", ["wf", "np"], 3),
    ("wf.cast({1}, {0})", ["'bool'", "'int8'", "np.float32"], 1),
    ("({1}).astype({0})", ["float", "int"], 1),
    ("wf.round({1})", [""], 1),
    ("np.divmod({1}, {2}){0}", ["[0]", "[1]"], 2),
    ("divmod({1}, {2}){0}", ["[0]", "[1]"], 2),
    ("{}.clip({}, 1, 2)", ["wf", "np"], 1),
]


@st.composite
def expressions(draw, depth=4):
    if depth == 0 or draw(st.integers(0, 5)) == 0:
        return draw(st.sampled_from("abc"))
    form, names, count = draw(st.sampled_from(FORMS))
    name = draw(st.sampled_from(names))
    operands = [draw(expressions(depth - 1)) for _ in range(count)]
    if count > 1 and draw(st.booleans()):
        operands[draw(st.integers(0, count - 1))] = draw(st.sampled_from(CONSTANTS))
    return form.format(name, *operands)


FLOATS = [0.0, -0.0, 1.0, -1.5, 2.5, 1e-3, 7.0, np.inf, -np.inf, np.nan]
ARRAYS = {
    "float64": np.array([*FLOATS, 1e200, -3e-200]),
    "float32": np.array([*FLOATS, 1e30, -3e-30], "float32"),
    "int64": np.array([0, 1, -1, 2, -3, 5, 7, -8, 63, -(2**63), 2**63 - 1, 100]),
    "int32": np.array([0, 1, -1, 2, -3, 5, 7, -8, 31, -(2**31), 2**31 - 1, 100], "int32"),
    "bool": np.array([True, False] * 6),
}
dtypes = st.sampled_from(sorted(ARRAYS))


def outcome(compute):
    """A result, or the type of the exception."""
    try:
        with np.errstate(all="ignore"):
            return np.asarray(compute())
    except (TypeError, ValueError, OverflowError) as error:
        return type(error)


@settings(max_examples=600, deadline=None)
@given(text=expressions(), types=st.tuples(dtypes, dtypes, dtypes))
def test_nodes_compute_what_the_function_computes_on_arrays(text, types):
    f = run(text)
    # The arrays are rotated, so that different values meet.
    arguments = [np.roll(ARRAYS[dtype], 5 * i) for i, dtype in enumerate(types)]
    expected = outcome(lambda: f(*arguments))
    nodes, result = trace(f)
    got = outcome(lambda: evaluate(nodes, result, arguments))
    if isinstance(expected, type):
        assert isinstance(got, type) and issubclass(got, (TypeError, ValueError, OverflowError))
        return
    assert not isinstance(got, type), got
    assert got.dtype == expected.dtype
    np.testing.assert_array_equal(np.broadcast_to(got, expected.shape), expected)


@given(text=expressions())
def test_nodes_are_valid(text):
    nodes, result = trace(run(text))
    assert nodes[:3] == [("param", 0), ("param", 1), ("param", 2)]
    assert result < len(nodes)
    used = {0, 1, 2, result}
    for position, node in enumerate(nodes[3:], 3):
        if node[0] == "const":
            assert node[1] is None or node[1] in DTYPES
            continue
        operands = node[2:] if node[0] == "cast" else node[1:]
        assert all(operand < position for operand in operands), "operands come first"
        used.update(operands)
    assert used == set(range(len(nodes))), "every node is needed"
    assert len({(node, str(node)) for node in nodes}) == len(nodes), "equal nodes are merged"


# --- The nodes of operations.


@pytest.mark.parametrize(
    ("text", "nodes"),
    [
        ("a + b", [("add", 0, 1)]),
        ("2 - a", [("const", None, 2), ("subtract", 3, 0)]),
        ("a ** b", [("power", 0, 1)]),
        ("2.0 ** a", [("const", None, 2.0), ("power", 3, 0)]),
        ("-a // +b", [("negative", 0), ("floor_divide", 3, 1)]),
        ("round(a)", [("round", 0)]),
        ("np.round(a) + a.round() + wf.round(a)", [("round", 0), ("add", 3, 3), ("add", 4, 3)]),
        ("np.rint(a) + wf.rint(a)", [("rint", 0), ("add", 3, 3)]),
        ("math.floor(a) + math.ceil(b) + math.trunc(c)", [
            ("floor", 0), ("ceil", 1), ("add", 3, 4), ("trunc", 2), ("add", 5, 6),
        ]),
        ("round(a, 2)", [("const", None, 100.0), ("multiply", 0, 3), ("round", 4), ("divide", 5, 3)]),
        ("round(a, -1)", [("const", None, 10.0), ("divide", 0, 3), ("round", 4), ("multiply", 5, 3)]),
        ("np.float32(2) * a", [("const", "float32", 2.0), ("multiply", 3, 0)]),
        ("a * np.array(2, 'int16')", [("const", "int16", 2), ("multiply", 0, 3)]),
        ("a & True", [("const", None, True), ("bitwise_and", 0, 3)]),
        ("a & np.bool_(True)", [("const", "bool", True), ("bitwise_and", 0, 3)]),
        ("a.astype('f4')", [("cast", "float32", 0)]),
        ("wf.cast(a, int)", [("cast", "int64", 0)]),
        ("np.where(a < b, a, 0)", [("less", 0, 1), ("const", None, 0), ("where", 3, 0, 4)]),
        ("np.select([a < b, c], [1, 2], a)", [
            ("less", 0, 1), ("const", None, 2), ("where", 2, 4, 0), ("const", None, 1), ("where", 3, 6, 5),
        ]),
        ("np.clip(a, 0, b)", [("const", None, 0), ("maximum", 0, 3), ("minimum", 4, 1)]),
        ("a.clip(max=b)", [("minimum", 0, 1)]),
        ("np.fabs(a)", [("const", None, 1.0), ("multiply", 0, 3), ("absolute", 4)]),
        ("np.rad2deg(np.deg2rad(a))", [("radians", 0), ("degrees", 3)]),
        ("wf.ln(a) + np.log(a)", [("log", 0), ("add", 3, 3)]),
        ("sum([a, b])", [("const", None, 0), ("add", 3, 0), ("add", 4, 1)]),
        ("1 < a", [("const", None, 1), ("greater", 0, 3)]),
        ("7", [("const", None, 7)]),
    ],
)  # fmt: skip
def test_operations_are_nodes(text, nodes):
    assert trace(run(text)) == ([("param", 0), ("param", 1), ("param", 2), *nodes], 2 + len(nodes))


def test_equal_constants_of_other_types_are_not_merged():
    nodes, _ = trace(run("a + 1 + 1.0 + True + np.float32(1) + 0.0 + -0.0 + 1"))
    constants = [(node[1], repr(node[2])) for node in nodes if node[0] == "const"]
    assert constants == [(None, "1"), (None, "1.0"), (None, "True"), ("float32", "1.0"), (None, "0.0"), (None, "-0.0")]


def test_functions_of_python_numbers_are_python_numbers():
    assert type(wf.sqrt(2.0)) is float and wf.sqrt(2.0) == math.sqrt(2)
    assert type(wf.maximum(2, 3)) is int
    assert type(wf.where(True, 1, 2)) is int
    assert type(wf.isnan(1.0)) is bool
    # Their types stay open in functions, so that float32 stays float32.
    nodes, result = trace(run("a * wf.sqrt(2.0)"))
    assert evaluate(nodes, result, [np.ones(2, "float32")] * 3).dtype == np.float32


def test_every_function_has_numpys_name_and_result():
    x, y = np.array([0.5, 3.0]), np.array([2.0, 2.0])
    for name in UNARY | BINARY:
        arguments = (x,) if name in UNARY else (x, y)
        if name in ("invert", "bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift"):
            arguments = [argument.astype(int) for argument in arguments]
        with np.errstate(all="ignore"):
            np.testing.assert_array_equal(getattr(wf, name)(*arguments), getattr(np, name)(*arguments))
        assert getattr(wf, name).__name__ == name
        assert name in wf.__all__


def test_the_types_for_editors_are_those_of_the_functions():
    import ast
    import pathlib

    import warpframe

    stub = ast.parse((pathlib.Path(warpframe.__file__).parent / "_functions.pyi").read_text())
    parameters = {node.name: len(node.args.posonlyargs) for node in stub.body if isinstance(node, ast.FunctionDef)}
    aliases = {node.targets[0].id: getattr(node.value, "id", None) for node in stub.body if isinstance(node, ast.Assign)}
    assert set(wf.__all__) <= {*parameters, *aliases} and set(parameters) <= set(wf.__all__)
    for name, count in parameters.items():
        assert getattr(wf, name).__code__.co_argcount == count, name
    for alias in set(aliases) & set(wf.__all__):
        assert getattr(wf, alias) is getattr(wf, aliases[alias])


# --- What cannot be traced.

REFUSED = {
    # Conditions.
    "if x > 0: return x": "the condition of an if.* wf.where",
    "return 1 if x else 2": "the condition of an if.* wf.where",
    "while x < 3: x = x + 1": "the condition of a while loop.* for loop",
    "while x: x = x - 1": "the condition of a while loop.* for loop",
    "if x and y: return x": r"and needs.* write \(a\) & \(b\)",
    "if x or y: return x": r"or needs.* write \(a\) \| \(b\)",
    "assert x": "assert",
    "assert x > 0": "assert",
    "return x > 0 and x < 1": r"and needs.* write \(a\) & \(b\)",
    "return x or 1": r"or needs.* write \(a\) \| \(b\)",
    "return not x": r"not needs.* write ~\(a\)",
    "if x > 0 and x < 1: return x": r"and needs.* write \(a\) & \(b\)",
    "if x: return x": r"the condition of an if.* wf.where",
    "if not x: return x": r"not needs.* write ~\(a\)",
    "return 0 < x < 1": r"chained comparison.* write \(a < b\) & \(b < c\)",
    "if 0 < x < 1: return x": r"chained comparison.* write \(a < b\) & \(b < c\)",
    "return x in (1, 2)": r"in compares.* write \(x == a\) \| \(x == b\)",
    "return x not in [1, 2]": r"in compares.* write \(x == a\) \| \(x == b\)",
    "return x in {1, 2}": r"in a set.* write \(x == a\) \| \(x == b\)",
    "return {x: 1}": "the key of a dict",
    "return min(x, 1)": "min.* wf.minimum",
    "return max([x, 1])": "max.* wf.maximum",
    "return sorted([x, 1])": "sorted.* wf.minimum and wf.maximum",
    "return any([x > 1])": r"any.* \(a\) \| \(b\)",
    "return all([x > 1])": r"all.* \(a\) & \(b\)",
    "return bool(x)": r"bool.* x.astype\(bool\)",
    "return [v for v in (x, 2) if v > 1]": "the condition of an if.* wf.where",
    # Conversions to numbers.
    "return math.sqrt(x)": "math.sqrt.* write wf.sqrt or np.sqrt",
    "return math.hypot(x, 1)": "math.hypot.* write wf.hypot",
    "return math.atan2(x, 1)": "math.atan2.* write wf.arctan2",
    "return sine(x)": "math.sin.* write wf.sin or np.sin",
    "return math.pow(x, 2)": r"math.pow.* write x \*\* y",
    "return math.log(x, 2)": "math.log.* write wf.log",
    "return math.gamma(x)": "math.gamma.* no such function",
    "return math.factorial(x)": "math.factorial.* no such function",
    "return float(x)": r"float.* write x.astype\(float\)",
    "return int(x)": r"int.* write x.astype\(int\)",
    "return complex(x)": "complex numbers are not supported",
    "return np.float32(x)": r"np.float32.* write x.astype\(np.float32\)",
    "for i in range(x): pass": "the length of the range.* fixed range",
    "return [1, 2][x]": "an index.* wf.where",
    # Texts.
    "print(x)": "no text.* the print outside",
    "return f'{x}'": "no text",
    "return f'{x:.2f}'": "no text",
    "return str(x)": "no text",
    # Arrays.
    "return len(x)": "no length",
    "return x[0]": "cannot be indexed",
    "x[0] = 1": "cannot be indexed",
    "a, b = x": "iterated over",
    "for v in x: pass": "iterated over",
    "return 1 in x": "no elements",
    "return x @ x": "@ multiplies matrices",
    "return x()": "cannot be called",
    "return np.sum(x)": "np.sum is a function of arrays",
    "return np.add.reduce(x)": "np.add.reduce combines rows.* f.sum",
    "return np.add(x, 1, dtype='f4')": "np.add is called with dtype=",
    "return np.add(x, 1, where=x)": "np.add is called with where=",
    "return np.where(x)": r"wf.where\(condition, a, b\)",
    "return np.heaviside(x, 1)": "heaviside has no counterpart",
    "return np.array([x, x])": "not an array",
    "return np.asarray(x)": "not an array",
    # Operands.
    "return x + 'a'": "the text 'a' is not a number",
    "return x + None": "None is not a number",
    "return x + 1j": "complex numbers are not supported",
    "return x + [1]": "a list is not a number",
    "return x + np.arange(3)": "is an array; write a parameter",
    "return np.arange(3) * x": "is an array; write a parameter",
    "return x + np.float16(1)": "type float16",
    "return x + np.longdouble(1)": "type ",
    "return x + abs": "abs is a function",
    "return x + Fraction(1, 2)": r"type Fraction.* float\(value\)",
    "return x.astype('c8')": "complex64",
    "return x.astype('nonsense')": "nonsense",
    "return round(x, x)": "the number of digits is not a constant",
    "return round(x, 1000)": "the number of digits is beyond",
    "return pow(x, 2, 5)": "modulus",
    # Side effects.
    "global seen; seen = x": "side effect, because it assigns to the global variable seen",
    "return (lambda: [stored := x])() and 1 if False else np.asarray(x)": "not an array",
}  # fmt: skip


def from_file(path, source):
    """The function f of a file."""
    import fractions

    path.write_text(source)
    linecache.checkcache()
    scope = {"np": np, "wf": wf, "math": math, "sine": math.sin, "Fraction": fractions.Fraction, "__name__": "user_code"}
    exec(compile(source, str(path), "exec"), scope)
    return scope["f"]


@pytest.mark.parametrize("body", REFUSED)
def test_what_cannot_be_traced_names_the_line_and_what_to_write(body, tmp_path):
    path = tmp_path / "user_code.py"
    f = function(from_file(path, f"def f(x):\n    y = x + 1\n    {body}\n"))
    with pytest.raises(TypeError) as raised:
        f._nodes()
    text = str(raised.value)
    assert re.search(REFUSED[body], text), text
    line = body.partition("; ")[2] or body if body.startswith("global") else body
    assert f"({path}:3)" in text and (f"`{line}`" in text or f"`{body}`" in text), text
    assert "\n" not in text and not text.endswith("."), "one sentence"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ("return x.sum()", r"\.sum reduces an array.* f\.sum\(x\)"),
        ("return x.mean()", r"\.mean reduces an array.* f\.mean\(x\)"),
        ("return x.dtype", r"\.dtype is not known"),
        ("return x.shape", r"\.shape is not known"),
        ("return x.nonsense", "no attribute nonsense"),
    ],
)
def test_attributes_that_a_number_lacks(body, sentence, tmp_path):
    f = function(from_file(tmp_path / "user_code.py", f"def f(x):\n    {body}\n"))
    with pytest.raises(AttributeError, match=sentence) as raised:
        f._nodes()
    assert "user_code.py:2" in str(raised.value)


def test_integers_beyond_64_bits_overflow():
    with pytest.raises(OverflowError, match="9223372036854775808 is outside of the range of int64"):
        trace(lambda x: x + 2**63)
    assert trace(lambda x: x + -(2**63))[0][1] == ("const", None, -(2**63))


def test_the_line_is_that_of_the_function_that_is_called(tmp_path):
    source = """\
        def helper(x):
            return math.sqrt(
                x
            )

        def f(x):
            return helper(x) + 1
        """
    f = function(from_file(tmp_path / "user_code.py", textwrap.dedent(source)))
    with pytest.raises(TypeError, match=r"`return math.sqrt\(` \(.*user_code.py:2\): math.sqrt"):
        f._nodes()


def test_functions_without_source_are_traced_and_refused():
    f = eval("lambda x: x + 1")
    assert trace(f)[0][-1][0] == "add"
    with pytest.raises(TypeError, match=r"cannot trace <string>:1: the truth of a value.* wf.where"):
        trace(eval("lambda x: x if x > 1 else 2"))


def test_a_library_in_between_is_not_named():
    with pytest.raises(TypeError, match=r"test_trace.py:\d+\)"):
        trace(lambda x: np.mean(np.atleast_1d(x)))


def test_values_do_not_leave_their_trace():
    kept = []
    nodes, _ = trace(lambda x: kept.append(x) or x)
    assert nodes == [("param", 0)]
    with pytest.raises(TypeError, match="used after the call that it belongs to"):
        kept[0] + 1
    with pytest.raises(TypeError, match="belongs to the trace of another function|used after"):
        trace(lambda x: x + kept[0])

    inner = []

    def outer(x):
        def nested(y):
            return x + y

        inner.append(function(nested))
        return inner[0](2.0)

    with pytest.raises(TypeError, match="belongs to the trace of another function; write it as an argument"):
        trace(outer)


def test_a_symbol_can_be_shown_by_a_debugger():
    shown = []
    trace(lambda rate: shown.extend([repr(rate), repr(rate + 1)]) or rate)
    assert shown == ["<traced value rate>", "<traced value add>"]
