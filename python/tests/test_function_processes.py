"""Functions in other processes and in many threads, with the native module."""

import multiprocessing
import threading
from concurrent.futures import ProcessPoolExecutor

import numpy as np
import pytest

pytest.importorskip("warpframe._warpframe", reason="the native module is not built")

from warpframe import _functions as wf
from warpframe._function import function


@function
def dist(a, b):
    return wf.sqrt(a * a + b * b)


@function
def scaled(a, b, factor=2.0):
    return dist(a, b) * factor


def sum_of_rows(f, start, stop):
    """The sum of a function for integers, in a process of its own."""
    x = np.arange(float(start), float(stop))
    return float(f.sum(x, x))


@pytest.mark.parametrize("method", [m for m in ("spawn", "fork", "forkserver") if m in multiprocessing.get_all_start_methods()])
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_processes_compute_functions(method):
    # The parent process has computed it before, so that its threads exist when it forks.
    whole = sum_of_rows(scaled, 0, 300_000)
    assert whole == pytest.approx(2 * np.sqrt(2) * 300_000 * 299_999 / 2)
    with ProcessPoolExecutor(2, mp_context=multiprocessing.get_context(method)) as pool:
        parts = [pool.submit(sum_of_rows, scaled, start, start + 100_000) for start in (0, 100_000, 200_000)]
        assert sum(part.result(timeout=60) for part in parts) == pytest.approx(whole)


def test_threads_call_one_function():
    x = np.arange(1000.0)
    f = function(lambda a, b: dist(a, b) + b)
    expected, results = np.sqrt(x * x + 9) + 3, []

    def work():
        for _ in range(50):
            results.append(np.array_equal(f(x, 3.0), expected))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 400 and all(results)


def test_a_compiled_function_is_part_of_others():
    x = np.array([3.0, 5.0])
    assert dist(x, 4.0)[0] == 5.0
    f = function(lambda a: dist(a, 4.0) + dist(b=a, a=4))
    np.testing.assert_array_equal(f(x), 2 * dist(x, 4.0))


def test_float32_stays_float32_through_functions_and_constants():
    f = function(lambda a: dist(a, 1) * wf.sqrt(2.0) + 0.5)
    assert f(np.ones(3, "float32")).dtype == np.float32
