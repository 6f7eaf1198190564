"""The SQL text of traced functions: what it says, and that the command `warpframe` computes NumPy's results from it."""

import csv
import importlib.util
import io
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy as np
import pytest

import warpframe._functions as wf
from warpframe._function import function
from warpframe._trace import BINARY, UNARY

NAN, INF = float("nan"), float("inf")

FLOATS = [0.0, -0.0, 0.5, -0.5, 1.5, 2.5, -2.5, 1.0, -1.0, 3.0, -7.25, 1e-9, 0.3, 40.0, INF, -INF, NAN]
VALUES = {
    "float64": [*FLOATS, 1e300, -1e300, 0.49999999999999994, 4503599627370497.5],
    "float32": [*FLOATS, 1e30],
    "int64": [0, 1, -1, 2, 3, -3, 7, -8, 63, 64, -(2**63), 2**63 - 1],
    "int32": [0, 1, -1, 2, 3, -3, 7, -8, 31, 32, -(2**31), 2**31 - 1],
    "int8": [0, 1, -1, 3, -3, 7, -128, 127],
    "uint8": [0, 1, 2, 3, 7, 8, 255],
    "uint32": [0, 1, 3, 7, 31, 32, 2**32 - 1],
    "bool": [False, True],
}
# Operations that NumPy does not define for a type, or that SQL has no expression for.
UNDEFINED = {
    ("power", "int"),
    ("reciprocal", "int"),
    *[(name, "float") for name in "invert bitwise_and bitwise_or bitwise_xor left_shift right_shift".split()],
    *[(name, "bool") for name in "negative subtract sign reciprocal power".split()],
}
SQL_TYPES = {
    "float64": "DOUBLE",
    "float32": "REAL",
    "int64": "BIGINT",
    "int32": "INT",
    "int8": "TINYINT",
    "uint8": "TINYINT UNSIGNED",
    "uint32": "INT UNSIGNED",
    "bool": "BOOLEAN",
}
ARROW_TYPES = {"Boolean": "bool"} | {
    name.title().replace("Uint", "UInt"): name
    for name in "int8 int16 int32 int64 uint8 uint16 uint32 uint64 float32 float64".split()
}


def command():
    """The command that runs SQL; skips the test if there is none."""
    if os.environ.get("WARPFRAME_COMMAND"):
        return [os.environ["WARPFRAME_COMMAND"]]
    if importlib.util.find_spec("warpframe.__main__") is None:
        pytest.skip("there is no command: WARPFRAME_COMMAND is not set, and the package has no __main__")
    return [sys.executable, "-m", "warpframe"]


def run(script):
    """The rows of the last query of a script, as texts."""
    with tempfile.TemporaryDirectory() as folder:
        file = pathlib.Path(folder, "script.sql")
        file.write_text(script, encoding="utf-8")
        done = subprocess.run(
            [*command(), "sql", "--format", "csv", "--file", str(file)], capture_output=True, encoding="utf-8", timeout=120
        )
    assert done.returncode == 0, done.stderr + script[:2000]
    return list(csv.reader(io.StringIO(done.stdout)))[1:]


def literal(value, dtype):
    return "NULL" if value is None else f"CAST('{value}' AS {SQL_TYPES[dtype]})"


def evaluate(functions, dtypes, columns):
    """The results of functions in SQL, as arrays with their types; None stands for NULL, in columns and results."""
    script = "".join(f"{f.sql};\n" for f in functions)
    names = [f"c{i}" for i in range(len(columns))]
    rows = ", ".join(
        "(" + ", ".join([str(i), *[literal(value, dtype) for value, dtype in zip(row, dtypes)]]) + ")"
        for i, row in enumerate(zip(*columns))
    )
    casts = ", ".join(f"CAST({name} AS {SQL_TYPES[dtype]}) AS {name}" for name, dtype in zip(names, dtypes))
    calls = [f"{f.name}({', '.join(names)})" for f in functions]
    results = ", ".join([*calls, *[f"arrow_typeof({call})" for call in calls]])
    script += f"SELECT {results} FROM (SELECT i, {casts} FROM (VALUES {rows}) AS v(i, {', '.join(names)})) ORDER BY i;"
    table = list(zip(*run(script)))
    for texts, types in zip(table[: len(functions)], table[len(functions) :]):
        dtype = np.dtype(ARROW_TYPES[types[0]])
        yield dtype, [None if text == "" else text == "true" if dtype == bool else dtype.type(text) for text in texts]


def annotated(f, dtypes, name):
    """A function whose parameters have these types."""
    f.__annotations__ = dict(zip(f.__code__.co_varnames, dtypes))
    return function(f, name=name)


def operations(names, dtype):
    family = "bool" if dtype == "bool" else "float" if dtype.startswith("float") else "int"
    return [name for name in sorted(names) if (name, family) not in UNDEFINED]


def numpys(name, *arrays):
    """NumPy's result, in single precision instead of half precision."""
    with np.errstate(all="ignore"):
        result = getattr(np, name)(*arrays)
        if result.dtype == np.float16:
            result = getattr(np, name)(*[array.astype(np.float32) for array in arrays])
    return result


def check(name, dtype, result, expected, arguments):
    assert result.dtype == expected.dtype, f"{name} of {dtype}"
    tolerance = 0 if result.dtype.kind != "f" else 1e-6 if result.dtype == np.float32 else 4e-15
    close = np.isclose(result, expected, rtol=tolerance, atol=0, equal_nan=True) if tolerance else result == expected
    wrong = [(*row, got, want) for *row, got, want, ok in zip(*arguments, result, expected, close) if not ok]
    assert not wrong, f"{name} of {dtype}: {wrong}"


@pytest.mark.parametrize("dtype", VALUES)
def test_unary_operations_are_numpys(dtype):
    column = np.array(VALUES[dtype], dtype)
    names = operations(UNARY, dtype)
    functions = [annotated(eval(f"lambda x: wf.{name}(x)", {"wf": wf}), [dtype], f"f_{name}") for name in names]
    results = list(evaluate(functions, [dtype], [column.tolist()]))
    assert len(results) == len(names)
    for name, (result_type, result) in zip(names, results):
        check(name, dtype, np.array(result, result_type), numpys(name, column), [column])


@pytest.mark.parametrize("dtype", VALUES)
def test_binary_operations_are_numpys(dtype):
    x, y = (array.ravel() for array in np.meshgrid(*[np.array(VALUES[dtype], dtype)] * 2))
    names = operations(BINARY, dtype)
    functions = [annotated(eval(f"lambda x, y: wf.{name}(x, y)", {"wf": wf}), [dtype] * 2, f"f_{name}") for name in names]
    results = list(evaluate(functions, [dtype] * 2, [x.tolist(), y.tolist()]))
    assert len(results) == len(names)
    for name, (result_type, result) in zip(names, results):
        check(name, dtype, np.array(result, result_type), numpys(name, x, y), [x, y])


CONSTANTS = {
    "x // 3": "float64 float32 int64 uint8",
    "x // -2": "float64 int64 int8",
    "x // 0": "int64",
    "x % 3": "float64 float32 int64 uint8",
    "x % -3": "float64 int64",
    "x % 0": "int64",
    "7 % x": "float64 int64 uint8",
    "x // -1": "int64 float64",
    "x ** 2": "float64 float32 int64 uint8 int8",
    "x ** -1": "float64",
    "x ** -2.5": "float64",
    "x ** 0": "int64 float64",
    "x ** 5": "int64 int32 uint8",
    "x ** 0.5 if False else 2.0 ** x": "float64 float32",
    "x < 1": "float64 float32 int64 bool",
    "1 >= x": "float64 int64",
    "x == 3": "float64 int64 uint8",
    "x != x": "float64 float32",
    "x < 300": "int8 uint8",
    "x > -1": "uint8",
    "x << 3": "int64 int32 uint8",
    "x >> 40": "int64 int32 uint8",
    "x >> 1": "int64 int8",
    "round(x, 1)": "float64",
    "round(x, -1)": "float64",
    "wf.where(x, x, 2)": "float64 int64 bool",
    "wf.where(x > 0.5, 1, 2.5)": "float64 int64",
    "wf.where(x > 1, x, -x) + 0.1": "float32 float64 int32",
    "wf.clip(x, 1, 2)": "float64 int64 uint8",
    "wf.sqrt(x * x + 1) - (x - (x - 1))": "float64",
    "-(-x) - -2": "float64 int64",
    "x.astype(np.float32) * 0.1": "float64 int64 bool",
    "x / 3 * (x / 7) / (2 / (x + 1))": "float64 int64",
    "x & 5 | (x ^ 3) & ~x": "int64 uint8",
    "x & True | (x ^ True)": "bool",
    "wf.copysign(x, -1.0)": "float64",
    "wf.hypot(x, 4.0)": "float64",
    "wf.maximum(x, np.nan)": "float64",
    "wf.fmin(2, x)": "float64 int64",
    "wf.power(np.float32(2), x)": "float32",
    "abs(x - 1) // 2 % 3": "float64 int64",
}


@pytest.mark.parametrize("dtype", VALUES)
def test_expressions_with_constants_are_numpys(dtype):
    column = np.array(VALUES[dtype], dtype)
    texts = [text for text, dtypes in CONSTANTS.items() if dtype in dtypes.split()]
    if dtype == "uint32":
        texts = ["x + 1", "x - 5", "x / 2"]
    scope = {"wf": wf, "np": np}
    lambdas = [eval(f"lambda x: {text}", scope) for text in texts]
    functions = [annotated(f, [dtype], f"f{i}") for i, f in enumerate(lambdas)]
    results = list(evaluate(functions, [dtype], [column.tolist()]))
    assert len(results) == len(texts)

    class Array(np.ndarray):
        """An array with the method of traced values that NumPy's arrays lack."""

        def __round__(self, digits):
            return self.round(digits)

    for text, f, (result_type, result) in zip(texts, lambdas, results):
        with np.errstate(all="ignore"):
            expected = f(column.view(Array)).view(np.ndarray)
        check(text, dtype, np.array(result, result_type), expected, [column])


def random_expression(choose, dtype, depth):
    """An expression of x and y, made of exact operations. Zeros, whose sign may differ in SQL, are no divisors."""
    if depth == 0 or choose.random() < 0.15:
        return choose.choice("xy")
    constants = ["2", "3", "-1"] + (["0.5", "-2.25", "1e300"] if dtype == "float64" else [])
    a, b, c = (random_expression(choose, dtype, depth - 1) for _ in range(3))
    if choose.random() < 0.25:
        b = choose.choice(constants)
    form = choose.randrange(6)
    if form == 0:
        return f"({a} {choose.choice(['/', '//', '%'])} {choose.choice(['x', 'y', *constants])})"
    if form == 1:
        return f"({a} + 0 {choose.choice(['+', '-', '*'])} {b})"
    if form == 2:
        return f"({b} {choose.choice(['<', '<=', '>', '>=', '==', '!='])} {a})"
    if form == 3:
        name = choose.choice("sqrt floor ceil trunc absolute sign square isnan isinf isfinite logical_not".split())
        return f"wf.{name}({a} + 0)"
    if form == 4:
        name = choose.choice("minimum maximum fmin fmax less logical_and logical_or logical_xor".split())
        return f"wf.{name}({a}, {b})"
    return f"wf.where({c}, {a}, {b})"


@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_random_expressions_are_numpys(dtype):
    choose = random.Random(20)
    values = np.array(VALUES[dtype], dtype)
    x, y = (array.ravel() for array in np.meshgrid(values, values))
    texts = [f"{random_expression(choose, dtype, 4)} + x - x" for _ in range(60)]
    functions, expected = [], []
    for i, text in enumerate(texts):
        f = eval(f"lambda x, y: {text}", {"wf": wf})
        functions.append(annotated(f, [dtype] * 2, f"f{i}"))
        with np.errstate(all="ignore"):
            expected.append(f(x, y))
    for text, result, (result_type, got) in zip(texts, expected, evaluate(functions, [dtype] * 2, [x.tolist(), y.tolist()])):
        assert result_type == result.dtype, text
        np.testing.assert_array_equal(np.array(got, result_type), result, err_msg=text)


# AND and OR are NULL only where the other operand does not decide them.
THREE_VALUED = {"logical_and", "logical_or", "bitwise_and", "bitwise_or", "minimum", "maximum", "fmin", "fmax", "add", "multiply"}


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
def test_null_makes_null(dtype):
    names = [
        name
        for name in operations(BINARY, dtype)
        if not name.startswith("logical") and not (dtype == "bool" and name in THREE_VALUED)
    ]
    functions = [annotated(eval(f"lambda x, y: wf.{name}(x, y)", {"wf": wf}), [dtype] * 2, f"f_{name}") for name in names]
    functions += [
        annotated(lambda x, y: wf.where(x > 0, y, 1) + wf.where(x > 0, 1, y), [dtype] * 2, "g"),
        annotated(lambda x, y: wf.where(x > 0, y, x), [dtype] * 2, "h"),
    ]
    values = VALUES[dtype]
    columns = [[None] * len(values) + values, values + [None] * len(values)]
    for f, (_, result) in zip(functions, evaluate(functions, [dtype] * 2, columns)):
        for x, y, value in zip(*columns, result):
            if f.name == "h" and y is None and not x > 0:
                assert value is not None, (f.sql, x, y)
            else:
                assert value is None, (f.sql, x, y, value)


@pytest.mark.parametrize("dtype", ["float64", "int64", "bool"])
def test_nulls_are_those_of_the_native_function(dtype):
    pytest.importorskip("warpframe._warpframe", reason="the native module is not built")
    pyarrow = pytest.importorskip("pyarrow")
    values = [None, *VALUES[dtype]]
    columns = list(zip(*[(x, y) for x in values for y in values]))
    functions = [
        annotated(eval(f"lambda x, y: wf.{name}(x, y)", {"wf": wf}), [dtype] * 2, f"f_{name}")
        for name in operations(BINARY, dtype)
    ]
    functions += [
        annotated(lambda x, y: wf.where(x > 0, y, 1), [dtype] * 2, "g"),
        annotated(lambda x, y: wf.where((x > 0) | (y > 0), x, 2), [dtype] * 2, "h"),
    ]
    arrays = [pyarrow.array(column, "bool" if dtype == "bool" else dtype) for column in columns]
    for f, (_, result) in zip(functions, evaluate(functions, [dtype] * 2, columns)):
        native = pyarrow.array(f(*arrays)).to_pylist()
        differ = [row for row in zip(*columns, result, native) if (row[2] is None) != (row[3] is None)]
        assert not differ, f"{f.name}: {differ[:5]}"


def sql(f, **options):
    return function(f, **options).sql


def test_a_statement_is_short_where_python_and_sql_agree():
    def dist(a, b):
        return wf.sqrt(a * a + b * b)

    assert sql(dist) == "CREATE FUNCTION dist(a DOUBLE, b DOUBLE) RETURNS DOUBLE RETURN sqrt(a * a + b * b)"
    assert sql(lambda x: wf.log(x) / 2, name="half").endswith("RETURN ln(x) / 2.0")
    assert sql(lambda: 42, name="answer") == "CREATE FUNCTION answer() RETURNS BIGINT RETURN 42"


def test_annotations_are_types():
    def f(a: int, b: float, c: bool, d: np.float32, e: "np.int16", f: "list[int]", g):
        return wf.where(c, a, e)

    assert sql(f) == (
        "CREATE FUNCTION f(a BIGINT, b DOUBLE, c BOOLEAN, d REAL, e SMALLINT, f DOUBLE, g DOUBLE) RETURNS BIGINT "
        "RETURN CASE WHEN c IS NULL THEN NULL WHEN c THEN a ELSE CAST(e AS BIGINT) END"
    )


def test_names_are_quoted_where_sql_needs_it():
    def f(End, select, größe, x_1):
        return End + select + größe + x_1

    text = sql(f, name='my "f"')
    assert text == (
        'CREATE FUNCTION "my ""f"""("End" DOUBLE, "select" DOUBLE, "größe" DOUBLE, x_1 DOUBLE) RETURNS DOUBLE '
        'RETURN "End" + "select" + "größe" + x_1'
    )
    assert run(f'{text}; SELECT "my ""f"""(1.0, 2.0, 3.0, 4.0)') == [["10.0"]]


def test_what_sql_cannot_express_is_refused_by_name():
    def f(n: int, m: int):
        return n**m

    with pytest.raises(NotImplementedError, match="power of integers"):
        function(f).sql

    def g(n: int):
        return wf.reciprocal(n)

    with pytest.raises(NotImplementedError, match="reciprocal"):
        function(g).sql

    with pytest.raises(TypeError, match="bitwise_and is not defined for float64 and int"):
        sql(lambda x: x & 1)

    def h(n: np.int8):
        return n + 300

    with pytest.raises(OverflowError, match="300"):
        function(h).sql


def test_texts_that_repeat_operands_without_end_are_refused():
    def f(x):
        for _ in range(30):
            x = wf.hypot(x, x + 1)
        return x

    with pytest.raises(NotImplementedError, match="more than 200000 characters"):
        function(f).sql
