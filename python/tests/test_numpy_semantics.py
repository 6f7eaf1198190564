"""Compiled operations give NumPy's results, with NumPy's types, for all types of operands."""

import itertools
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from warpframe._warpframe import Function

DTYPES = [np.dtype(name) for name in
          ["bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64", "float32", "float64"]]
INTEGERS = [dtype for dtype in DTYPES if dtype.kind in "iu"]

EXACT_UNARY = ["negative", "absolute", "invert", "logical_not", "square", "floor", "ceil", "trunc", "rint", "round", "sign",
               "isnan", "isinf", "isfinite", "sqrt"]
#: The bounds of errors in units in the last place: that of the op table or of the composed function, and NumPy's own.
CLOSE_UNARY = {"cbrt": 3, "exp": 3, "exp2": 5, "expm1": 6, "log": 3, "log2": 3, "log10": 4, "log1p": 6, "sin": 4,
               "cos": 4, "tan": 6, "arcsin": 4, "arccos": 4, "arctan": 4, "sinh": 5, "cosh": 4, "tanh": 5,
               "arcsinh": 8, "arccosh": 8, "arctanh": 8, "degrees": 4, "radians": 4}
EXACT_BINARY = ["add", "subtract", "multiply", "divide", "floor_divide", "remainder", "fmod", "minimum", "maximum",
                "fmin", "fmax", "copysign", "less", "less_equal", "greater", "greater_equal", "equal", "not_equal",
                "bitwise_and", "bitwise_or", "bitwise_xor", "left_shift", "right_shift", "logical_and", "logical_or",
                "logical_xor"]
CLOSE_BINARY = {"arctan2": 4, "hypot": 5, "power": 6}

SPECIAL_FLOATS = [0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 1.5, 2.5, -2.5, 3.0, -3.0, 7.25, 1e-300, -1e-300, 1e300, -1e300, 1e-8,
                  4503599627370495.5, 9007199254740993.0, np.inf, -np.inf, np.nan, 0.1, 100.7]


def special(dtype):
    if dtype.kind == "b":
        return np.array([False, True])
    if dtype.kind == "f":
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return np.array(SPECIAL_FLOATS).astype(dtype)
    info = np.iinfo(dtype)
    values = {0, 1, 2, 3, 5, 7, 8, 31, 63, info.min, info.max, info.max - 1, info.min + 1, info.max // 3}
    if dtype.kind == "i":
        values |= {-1, -2, -3, -7}
    return np.array(sorted(values), dtype=dtype)


def compile(op, operands, *constants):
    """A function of `operands` parameters, followed by constants."""
    names = [f"a{position}" for position in range(operands)]
    nodes = [("param", position) for position in range(operands)]
    nodes += [("const", None, constant) for constant in constants]
    nodes.append((op, *range(len(nodes))))
    return Function("f", names, nodes, len(nodes) - 1)


def numpy_result(op, *operands):
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")
        return getattr(np, op)(*operands)


def ulps(result, expected):
    """The largest difference in units in the last place of the expected values. NaN equals NaN."""
    result, expected = np.asarray(result), np.asarray(expected)
    same = (result == expected) | (np.isnan(result) & np.isnan(expected))
    with np.errstate(all="ignore"):
        distance = np.abs(result - expected) / np.spacing(np.abs(expected))
    return np.where(same, 0, np.where(np.isnan(distance), np.inf, distance)).max(initial=0)


def check(op, result, expected, bound=0):
    """Compares values and types. Functions whose type is float16 in NumPy are float32."""
    if expected.dtype == np.float16:
        assert result.dtype == np.float32
        finite = np.isfinite(expected)
        np.testing.assert_allclose(result[finite], expected[finite], rtol=2e-3, atol=1e-6)
        return
    assert result.dtype == expected.dtype, (op, result.dtype, expected.dtype)
    if expected.dtype.kind != "f" or bound == 0:
        np.testing.assert_array_equal(result, expected)
        # The sign of the extreme of two zeros depends on NumPy's vector instructions.
        if expected.dtype.kind == "f" and not op.startswith(("minimum", "maximum", "fmin", "fmax")):
            not_nan = ~np.isnan(expected)
            np.testing.assert_array_equal(np.signbit(result)[not_nan], np.signbit(expected)[not_nan])
    else:
        assert ulps(result, expected) <= bound, (op, ulps(result, expected))


def is_refused(op, *dtypes):
    """Whether warpframe refuses what NumPy computes: values of type uint64, which programs do not have."""
    return any(dtype == np.uint64 for dtype in dtypes) or numpy_dtype(op, *dtypes) == np.uint64


def numpy_dtype(op, *dtypes):
    try:
        return numpy_result(op, *(np.ones(1, dtype=dtype) for dtype in dtypes)).dtype
    except (TypeError, ValueError):
        return None


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("op", EXACT_UNARY + list(CLOSE_UNARY))
def test_unary(op, dtype):
    x = special(dtype)
    function = compile(op, 1)
    if numpy_dtype(op, dtype) is None:
        with pytest.raises(TypeError):
            function.call((x,))
        return
    if dtype == np.uint64 and op in ["negative", "absolute", "invert", "square", "floor", "ceil", "trunc", "round", "sign"]:
        with pytest.raises(TypeError, match="uint64"):
            function.call((x,))
        return
    check(op, function.call((x,)), numpy_result(op, x), CLOSE_UNARY.get(op, 0))


@pytest.mark.parametrize("op", EXACT_BINARY + list(CLOSE_BINARY))
def test_binary(op):
    """All pairs of types, with all pairs of special values."""
    function = compile(op, 2)
    for one, other in itertools.product(DTYPES, DTYPES):
        x, y = (pair.ravel() for pair in np.meshgrid(special(one), special(other)))
        if numpy_dtype(op, one, other) is None:
            with pytest.raises(TypeError):
                function.call((x, y))
            continue
        refused = is_refused(op, one, other)
        if op == "power" and np.result_type(one, other).kind in "biu":
            refused = True
        try:
            result = function.call((x, y))
        except TypeError:
            assert refused, (op, one, other)
            continue
        if op in ["left_shift", "right_shift"] and one.kind == "i" and other.kind == "u" and one != other:
            pass
        check(f"{op} {one} {other}", result, numpy_result(op, x, y), CLOSE_BINARY.get(op, 0))


@pytest.mark.parametrize("constant", [0, 1, 2, 3, 4, 5, 7, 10, 2.0, 3.0, 0.5, -1.0, 2.5, -2.0], ids=repr)
@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != np.uint64], ids=str)
def test_power_of_a_constant(dtype, constant):
    x = special(dtype)
    expected = numpy_result("power", x, constant)
    if expected.dtype == np.float16:
        pytest.skip("NumPy computes float16")
    check("power", compile("power", 1, constant).call((x,)), expected, 3 if expected.dtype.kind == "f" else 0)


def test_negative_powers_of_integers_are_refused():
    with pytest.raises(ValueError, match="negative integer powers"):
        compile("power", 1, -1).call((np.arange(3),))


@pytest.mark.parametrize("op", ["add", "subtract", "multiply", "divide", "floor_divide", "remainder", "less", "minimum",
                                "bitwise_and", "left_shift"])
@pytest.mark.parametrize("constant", [3, -3, 2.5, True], ids=repr)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_python_numbers_take_the_type_of_the_array(dtype, constant, op):
    """As constants, and as arguments."""
    x = special(dtype)
    try:
        expected = numpy_result(op, x, constant)
    except (TypeError, OverflowError) as error:
        for call in [lambda: compile(op, 1, constant).call((x,)), lambda: compile(op, 2).call((x, constant))]:
            with pytest.raises((type(error), TypeError)):
                call()
        return
    for call in [lambda: compile(op, 1, constant).call((x,)), lambda: compile(op, 2).call((x, constant))]:
        try:
            result = call()
        except TypeError:
            assert dtype == np.uint64
            continue
        check(op, result, expected)


@pytest.mark.parametrize("to", [d for d in DTYPES if d != np.uint64], ids=str)
@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != np.uint64], ids=str)
def test_conversions(dtype, to):
    x = special(dtype)
    if dtype.kind == "f" and to.kind in "iu":
        # What NumPy converts floats outside of the range to depends on the machine.
        x = np.array([0.0, -0.0, 1.0, 1.5, 2.5, 100.7], dtype=dtype)
    function = Function("f", ["a"], [("param", 0), ("cast", to.name, 0)], 1)
    with np.errstate(all="ignore"):
        check("cast", function.call((x,)), x.astype(to))


@pytest.mark.parametrize("types", [("float64", "float32"), ("int8", "uint8"), ("bool", "int16"), ("float32", "int32")],
                         ids=str)
def test_where(types):
    one, other = map(np.dtype, types)
    yes, no = special(one)[:2], special(other)[:2]
    function = Function("f", ["c", "a", "b"], [("param", 0), ("param", 1), ("param", 2), ("where", 0, 1, 2)], 3)
    condition = np.array([True, False])
    check("where", function.call((condition, yes, no)), np.where(condition, yes, no))


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_arrays_of_all_shapes_and_strides(data):
    """Slices with steps, transposed arrays, broadcast arrays and arrays without elements."""
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=5, min_side=0))
    arrays = []
    for shape in shapes.input_shapes:
        dtype = data.draw(st.sampled_from([np.dtype(np.float64), np.dtype(np.float32), np.dtype(np.int16), np.dtype(bool)]))
        elements = st.floats(width=32, allow_nan=False, allow_infinity=False) if dtype.kind == "f" else None
        array = data.draw(hnp.arrays(dtype, shape, elements=elements))
        if array.ndim and data.draw(st.booleans()):
            # The same elements in memory that is not contiguous.
            wider = np.zeros(tuple(2 * length for length in shape), dtype)
            view = wider[tuple(slice(None, None, 2) for _ in shape)]
            view[...] = array
            array = view
        if array.ndim > 1 and data.draw(st.booleans()):
            array = np.asfortranarray(array)
        arrays.append(array)
    function = compile("add", 2)
    expected = numpy_result("add", *arrays)
    result = function.call(tuple(arrays))
    assert np.shape(result) == np.shape(expected)
    check("add", np.asarray(result), np.asarray(expected))
    if not np.shape(expected):
        return
    # Into memory that is there, contiguous or not.
    out = np.zeros(np.shape(expected), expected.dtype)
    assert function.call(tuple(arrays), out) is out
    check("add", out, expected)
    out = np.zeros((*np.shape(expected), 2), expected.dtype)[..., 0]
    function.call(tuple(arrays), out)
    check("add", out, expected)


def test_many_rows_on_several_threads():
    x = np.arange(1, 1_000_001, dtype=np.float64)
    for view in [x, x[::-1], x[::3], x.reshape(1000, 1000).T, x.reshape(1000, 1000)[:, ::2]]:
        check("sqrt", compile("sqrt", 1).call((view,)), np.sqrt(view))


def test_out_may_be_an_argument():
    x = np.arange(100_000, dtype=np.float64)
    expected = x[::-1] + x
    compile("add", 2).call((x[::-1], x), x)
    np.testing.assert_array_equal(x, expected)


def test_arrays_that_are_not_aligned():
    bytes = np.zeros(8 * 1000 + 1, np.uint8)
    x = bytes[1:].view(np.float64)
    x[:] = np.arange(1000)
    check("sqrt", compile("sqrt", 1).call((x,)), np.sqrt(x))
    compile("sqrt", 1).call((x,), x)
    check("sqrt", x.copy(), np.sqrt(np.arange(1000.0)))


@pytest.mark.parametrize("dtype", [d for d in DTYPES if d != np.uint64], ids=str)
@pytest.mark.parametrize("kind", ["sum", "mean", "min", "max", "var", "std"])
def test_reductions(kind, dtype):
    values = np.resize(special(dtype), 3_000_000 if dtype == np.float64 else 10_000)
    if dtype.kind == "f":
        values = values[np.isfinite(values) & (np.abs(values) < 1e6)]
    function = Function("f", ["a"], [("param", 0)], 0)
    result, expected = function.reduce(kind, (values,)), getattr(np, kind)(values)
    if dtype.kind == "b" and kind in ("min", "max"):
        assert result == expected
        return
    assert result.dtype == expected.dtype
    if result.dtype.kind == "f":
        relative = 1e-5 if dtype == np.float32 else 1e-11
        scale = float(np.abs(values.astype(float)).max()) if kind == "mean" else 0
        np.testing.assert_allclose(result, expected, rtol=relative, atol=relative * scale)
    else:
        assert result == expected


@pytest.mark.parametrize("nan", [np.nan, -np.nan], ids=str)
def test_extremes_of_nan(nan):
    function = Function("f", ["a"], [("param", 0)], 0)
    values = np.array([1.0, np.copysign(np.nan, nan), -3.0])
    assert np.isnan(function.reduce("min", (values,))) and np.isnan(function.reduce("max", (values,)))


def test_reductions_of_nothing():
    function, none = Function("f", ["a"], [("param", 0)], 0), np.array([])
    assert function.reduce("sum", (none,)) == 0 and function.reduce("count", (none,)) == 0
    assert np.isnan(function.reduce("mean", (none,)))
    with pytest.raises(ValueError, match="no values"):
        function.reduce("min", (none,))


def test_integers_out_of_range():
    function = compile("add", 2)
    with pytest.raises(OverflowError, match="300.*int8"):
        function.call((np.zeros(1, np.int8), 300))
    with pytest.raises(OverflowError, match="int64"):
        function.call((np.zeros(1, np.int8), 1 << 70))
    with pytest.raises(OverflowError, match="300.*int8"):
        compile("add", 1, 300).call((np.zeros(1, np.int8),))


@pytest.mark.parametrize("array", [np.zeros(2, complex), np.array(["a", "b"]), np.array([object(), None]),
                                   np.zeros(2, np.float16), np.zeros(2, "datetime64[s]")], ids=str)
def test_arrays_without_programs(array):
    with pytest.raises(TypeError, match="the argument a0 has elements of type"):
        compile("sqrt", 1).call((array,))


def test_shapes_that_do_not_fit():
    with pytest.raises(ValueError, match=r"a0 has the shape \(3,\), and a1 has \(4,\)"):
        compile("add", 2).call((np.zeros(3), np.zeros(4)))


def test_out_that_does_not_fit():
    function, x = compile("sqrt", 1), np.zeros(3)
    with pytest.raises(TypeError, match="float32.*float64"):
        function.call((x,), np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="shape"):
        function.call((x,), np.zeros(4))
    with pytest.raises(TypeError, match="list"):
        function.call((x,), [0.0] * 3)
    read_only = np.zeros(3)
    read_only.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        function.call((x,), read_only)
