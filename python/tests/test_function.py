"""The decorator: decoration, binding of arguments, what is passed to the native module, tracing once, inlining, pickling.

The native module is replaced by one that records its calls, so that these tests see what a call passes to it.
"""

import os
import pickle
import sys
import threading
import time
import types

import numpy as np
import pytest

import warpframe._function as function_module
import warpframe._functions as wf
from warpframe import _containers
from warpframe._function import Function, function


class RecordedFunction:
    """A native function that records its calls. It does not know arguments of type `Foreign`."""

    def __init__(self, name, parameters, nodes, result, **options):
        self.names = parameters
        self.made = (name, parameters, nodes, result, options)
        self.calls = []

    def call(self, args, out):
        if any(isinstance(value, (Foreign, function_module.Symbol)) for value in args):
            return NotImplemented
        self.calls.append(("call", args, out))
        return ("result", len(self.calls))

    def reduce(self, kind, args):
        if any(isinstance(value, Foreign) for value in args):
            return NotImplemented
        self.calls.append((kind, args))
        return 4.0

    def explain(self, args):
        return f"explains {args}"


class Foreign:
    """A container that is not an array of NumPy."""


@pytest.fixture(autouse=True)
def native(monkeypatch):
    module = types.ModuleType("warpframe._warpframe")
    module.Function = RecordedFunction
    monkeypatch.setitem(sys.modules, "warpframe._warpframe", module)


@function
def dist(a, b):
    """The distance from the origin."""
    return wf.sqrt(a * a + b * b)


@function(name="scale_by", backend="simd")
def scale(x, factor=2.0, *, shift=np.float32(1)):
    return x * factor + shift


def plain(x):
    return x + 1


compiled_plain = function(plain, name="p", backend="interpreted")


# --- Calls.


def test_a_call_passes_its_arguments_and_returns_the_result_of_the_native_function():
    f = function(lambda a, b: a + b)
    x, y, out = np.ones(2), np.ones(2), np.ones(2)
    assert f(x, y) == ("result", 1)
    assert f(x, y, out=out) == ("result", 2)
    (_, first, no_out), (_, second, given_out) = f._native.calls
    assert first[0] is x and first[1] is y and no_out is None
    assert second[0] is x and given_out is out
    assert f._native.made == (
        "lambda", ["a", "b"], [("param", 0), ("param", 1), ("add", 0, 1)], 2, {},
    )  # fmt: skip


def test_keywords_and_defaults_are_bound():
    scale(1, shift=5)
    scale(shift=6, x=2, factor=3)
    scale(1, 4)
    assert [args for _, args, _ in scale._native.calls] == [(1, 2.0, 5), (2, 3, 6), (1, 4, np.float32(1))]
    name, parameters, nodes, result, options = scale._native.made
    assert (name, parameters, options) == ("scale_by", ["x", "factor", "shift"], {"backend": "simd"})
    assert nodes[result] == ("add", 3, 2)


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda: dist(1), "dist lacks 1 argument: b"),
        (lambda: dist(), "dist lacks 2 arguments: a, b"),
        (lambda: dist(1, 2, 3), "dist takes 2 positional arguments, but got 3"),
        (lambda: dist(1, c=2), "dist has no parameter c to be given by name; it has a, b"),
        (lambda: dist(1, 2, a=3), "dist got two values for the parameter a"),
        (lambda: scale(1, 2, 3), "scale takes 2 positional arguments, but got 3"),
        (lambda: scale(shift=2), "scale lacks 1 argument: x"),
        (lambda: dist.sum(1), "dist lacks 1 argument: b"),
        (lambda: function(lambda x, /: x)(x=1), "no parameter x to be given by name"),
    ],
)
def test_wrong_arguments_are_named(call, sentence):
    with pytest.raises(TypeError, match=sentence):
        call()


def test_reductions_and_explanations_are_those_of_the_native_function():
    f = function(lambda a, b=2.0: a + b)
    for kind in ("sum", "mean", "min", "max", "var", "std", "count"):
        assert getattr(f, kind)(1, b=3) == 4.0
    assert f._native.calls == [(kind, (1, 3)) for kind in ("sum", "mean", "min", "max", "var", "std", "count")]
    assert f.explain(5) == "explains (5, 2.0)"


def test_other_containers_are_converted_by_the_package(monkeypatch):
    monkeypatch.setattr(_containers, "call", lambda native, args, out: ("converted", native, args, out))
    monkeypatch.setattr(_containers, "reduce", lambda native, kind, args: ("reduced", native, kind, args))
    foreign = Foreign()
    f = function(lambda a, b=1: a + b)
    assert f(foreign, 2, out=None) == ("converted", f._native, (foreign, 2), None)
    assert f(foreign) == ("converted", f._native, (foreign, 1), None)
    assert f.max(foreign) == ("reduced", f._native, "max", (foreign, 1))


def test_a_call_costs_less_than_two_microseconds_of_python():
    class Instant:
        def call(self, args, out):
            return None

    f = function(lambda x, y: x + y)
    f._compiled = Instant()
    calls, best = 2_000, float("inf")
    for _ in range(50):
        start = time.perf_counter()
        for _ in range(calls):
            f(1, 2)
        best = min(best, (time.perf_counter() - start) / calls)
    assert best < 2e-6


# --- Tracing.


def test_a_function_is_traced_at_its_first_use_and_once():
    count = []

    def f(x):
        count.append(1)
        return x * later

    compiled = function(f)
    assert count == []
    scope = globals()
    scope["later"] = 3
    try:
        compiled(1), compiled(2), compiled.sum(1), compiled.sql, compiled.explain(1)
        assert len(count) == 1
        # Its globals are constants.
        scope["later"] = 4
        compiled(1)
        assert ("const", None, 3) in compiled._native.made[2]
    finally:
        del scope["later"]


def test_an_error_does_not_spoil_the_function():
    fail = [True]

    def f(x):
        if fail[0]:
            raise ZeroDivisionError("not yet")
        return x + 1

    compiled = function(f)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError, match="not yet"):
            compiled(1)
    fail[0] = False
    assert compiled(1) == ("result", 1)


def test_functions_call_others():
    @function
    def ratio(a, b=2.0):
        return a / b

    f = function(lambda x, y: ratio(x) + ratio(b=x, a=y) + dist(x, 1))
    nodes, result = f._nodes()
    assert nodes == [
        ("param", 0), ("param", 1), ("const", None, 2.0), ("divide", 0, 2), ("divide", 1, 0), ("add", 3, 4),
        ("multiply", 0, 0), ("const", None, 1), ("add", 6, 7), ("sqrt", 8), ("add", 5, 9),
    ]  # fmt: skip


def test_a_call_with_numbers_in_a_function_is_a_constant():
    double = function(lambda x: x * 2)
    double._compiled = types.SimpleNamespace(call=lambda args, out: np.float64(args[0] * 2))
    assert function(lambda x: x + double(4.0))._nodes()[0][1] == ("const", "float64", 8.0)


def test_reductions_and_out_in_a_function_are_refused():
    with pytest.raises(TypeError, match="dist.sum combines rows"):
        function(lambda x: dist.sum(x, x))._nodes()
    with pytest.raises(TypeError, match="out= has no meaning"):
        function(lambda x: dist(x, x, out=np.ones(2)))._nodes()


def test_threads_trace_a_function_once():
    count, results = [], []

    def f(x):
        count.append(1)
        time.sleep(0.05)
        return x + 1

    compiled = function(f)
    threads = [threading.Thread(target=lambda: results.append(compiled._nodes())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(count) == 1
    assert len(results) == 8 and all(nodes is results[0] for nodes in results)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_child_process_traces_while_a_thread_of_the_parent_traces():
    started, end = threading.Event(), threading.Event()

    def slow(x):
        started.set()
        end.wait(10)
        return x

    thread = threading.Thread(target=function(slow)._nodes)
    thread.start()
    started.wait()
    child = os.fork()
    if child == 0:
        try:
            nodes, _ = function(lambda x: x + 1)._nodes()
            os._exit(0 if len(nodes) == 3 else 2)
        finally:
            os._exit(1)
    deadline, status = time.monotonic() + 10, (0, None)
    while status[0] == 0 and time.monotonic() < deadline:
        status = os.waitpid(child, os.WNOHANG)
        time.sleep(0.01)
    if status[0] == 0:
        os.kill(child, 9)
        os.waitpid(child, 0)
    end.set()
    thread.join()
    assert status == (child, 0)


# --- What functions may be.


def recursive(x):
    return recursive(x - 1)


@function
def factorial(n):
    return n * factorial(n - 1)


@function
def even(n):
    return odd(n - 1)


@function
def odd(n):
    return even(n - 1)


@function
def recursive_in_numbers(x):
    return x + recursive_in_numbers(2.0)


@pytest.mark.parametrize(
    ("f", "name"),
    [(factorial, "factorial"), (even, "even"), (function(recursive), "recursive"), (recursive_in_numbers, "recursive_in_numbers")],
)
def test_recursion_is_refused_by_name(f, name):
    for _ in range(2):
        with pytest.raises(RecursionError, match=f"^{name} calls itself, and compiled functions cannot be recursive"):
            f._nodes()


def test_recursion_inside_names_the_inner_function():
    with pytest.raises(RecursionError, match="^factorial calls itself"):
        function(lambda x: factorial(x))._nodes()


@pytest.mark.parametrize(
    ("f", "sentence"),
    [
        (lambda x: None, "returns nothing; write a return statement"),
        (lambda x: (x, x), "returns a tuple, but a function computes one number"),
        (lambda x: [x], "returns a list"),
        (lambda x: {"y": x}, "returns a dict"),
        (lambda x: "text", "returns a value of type str; return a number"),
        (lambda x: dist, "returns a value of type Function; return a number"),
        (lambda x: np.ones(3), "returns a value of type ndarray; return a number"),
        (lambda x: 1j, "returns a value of type complex; return a number"),
    ],
)
def test_results_that_are_not_one_number_are_refused(f, sentence):
    with pytest.raises(TypeError, match=sentence) as raised:
        function(f)._nodes()
    assert "test_function.py:" in str(raised.value)


def test_a_constant_is_a_result():
    assert function(lambda: 42)._nodes() == ([("const", None, 42)], 0)
    assert function(lambda x: np.float32(0.5))._nodes() == ([("param", 0), ("const", "float32", 0.5)], 1)


def test_closures_are_constants():
    weak, typed = 3, np.int16(3)
    nodes, _ = function(lambda x: x * weak * typed)._nodes()
    assert [node for node in nodes if node[0] == "const"] == [("const", None, 3), ("const", "int16", 3)]


def test_assignments_to_variables_outside_are_refused():
    count = 0

    def counts(x):
        nonlocal count
        count += 1
        return x

    def counts_inside(x):
        def nested():
            nonlocal count
            count += 1

        nested()
        return x

    def of_its_own(x):
        total = 0

        def nested():
            nonlocal total
            total += 1

        nested()
        return x + total

    for f in (counts, counts_inside):
        with pytest.raises(TypeError, match="side effect, because it assigns to the variable of an enclosing function count"):
            function(f)._nodes()
    assert count == 0
    assert function(of_its_own)._nodes()[0][1] == ("const", None, 1)


def generator(x):
    yield x


async def coroutine(x):
    return x


def default_of_text(x, mode="fast"):
    return x


@pytest.mark.parametrize(
    ("f", "sentence"),
    [
        (generator, "generator is a generator; write return instead of yield"),
        (coroutine, "coroutine is an async function"),
        (lambda *x: 1, r"has the parameters \*args or \*\*kwargs"),
        (lambda **x: 1, r"has the parameters \*args or \*\*kwargs"),
        (lambda out: out, "has a parameter out"),
        (int, "int is of type type"),
        (len, "len is of type builtin_function_or_method"),
        (np.sin, "sin is of type ufunc"),
        (3, "3 is of type int"),
        (threading.Lock().acquire, "acquire is of type builtin_function_or_method"),
        (default_of_text, "the default of the parameter mode of default_of_text is 'fast', but parameters are numbers"),
        (lambda x=None: x, "the default of the parameter x of <lambda> is None"),
    ],
)
def test_what_is_no_function_of_numbers_is_refused_when_it_is_decorated(f, sentence):
    with pytest.raises(TypeError, match=sentence):
        function(f)


def test_options_are_checked():
    with pytest.raises(ValueError, match="there is no backend 'gpu': use one of auto, interpreted, simd, native, cuda"):
        function(plain, backend="gpu")
    with pytest.raises(TypeError, match="the name of a function is a text"):
        function(plain, name="")


# --- A function as an object.


def test_a_function_looks_like_the_one_that_it_wraps():
    import inspect

    assert (dist.__name__, dist.__qualname__, dist.__module__) == ("dist", "dist", __name__)
    assert dist.__doc__ == "The distance from the origin."
    assert str(inspect.signature(scale)) == "(x, factor=2.0, *, shift=np.float32(1.0))"
    assert scale.__wrapped__(3) == 7
    assert repr(scale) == "<warpframe function scale_by(x, factor, shift)>"
    assert function(dist) is dist
    assert function(dist, name="other").name == "other" and dist.name == "dist"


def test_the_body_without_tracing_is_numpys():
    np.testing.assert_array_equal(dist.__wrapped__(np.array([3.0, 5.0]), np.array([4.0, 12.0])), [5.0, 13.0])


def test_functions_that_have_a_name_are_pickled_by_it():
    assert pickle.loads(pickle.dumps(dist)) is dist
    copy = pickle.loads(pickle.dumps(compiled_plain))
    assert isinstance(copy, Function) and copy.__wrapped__ is plain
    assert (copy.name, copy.backend) == ("p", "interpreted")


def test_functions_without_a_name_are_not_pickled():
    with pytest.raises((pickle.PicklingError, AttributeError)):
        pickle.dumps(function(lambda x: x))


def test_a_function_is_not_a_number():
    with pytest.raises(TypeError, match="dist is a function, not a number; write a call of it"):
        function(lambda x: x + dist)._nodes()
