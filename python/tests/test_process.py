"""Memory, threads, forks, pickling and Ctrl-C."""

import concurrent.futures
import multiprocessing
import os
import pickle
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest

import warpframe as wf


@wf.function
def dist(a, b):
    return wf.sqrt(a * a + b * b)


def run(script, environment=None):
    """Runs a script in a process of its own, and returns its output."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout


PEAK = """
import resource, sys
import numpy as np, warpframe as wf
def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
x = np.arange(1, 10_000_001, dtype=np.float64)
f = wf.function(lambda a, b, c: wf.ln(a) * wf.ln(b) * wf.ln(c) + wf.sqrt(a))
f(x[:1000], x[:1000], x[:1000])
before = peak()
{call}
print(peak() - before)
"""


@pytest.mark.parametrize("call, results", [("r = f(x, x, x)", 1), ("f.sum(x, x, x)", 0), ("f(x, x, x, out=x)", 1),
                                           ("r = f(x[::-1], x, x)", 1), ("out = np.ones_like(x); f(x, x, x, out=out)", 1)])
def test_arguments_are_not_copied(call, results):
    """The peak is at most the result and 64 MiB. A result that replaces an argument is computed beside it."""
    assert int(run(PEAK.format(call=call))) <= results * 80_000_000 + (64 << 20)


def test_memory_of_results_is_used_again_and_released():
    x = np.ones(1_000_000)
    address = dist(x, x).ctypes.data
    assert dist(x, x).ctypes.data == address
    kept = dist(x, x)
    assert dist(x, x).ctypes.data != kept.ctypes.data
    np.testing.assert_array_equal(kept, np.sqrt(2 * x))
    assert wf.release_memory() >= 8_000_000 and wf.release_memory() == 0


def test_a_result_that_is_larger_than_memory():
    rows = np.broadcast_to(np.float64(2), (1 << 46,))
    with pytest.raises(MemoryError, match="no memory for a result of"):
        dist(rows, rows)
    with pytest.raises(MemoryError, match="larger than any memory"):
        dist(np.broadcast_to(np.float64(2), (1 << 40, 1)), np.broadcast_to(np.float64(2), (1, 1 << 40)))


def test_threads_call_one_function():
    dtypes = [np.float64, np.float32, np.int64, np.int16]

    def check(position):
        x = np.arange(position + 1, 200_000, dtype=np.float64).astype(dtypes[position % 4])
        np.testing.assert_array_equal(dist(x, x), np.sqrt(x * x + x * x))

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        list(threads.map(check, range(64)))


def test_the_interpreter_runs_other_threads_during_a_call():
    rows = np.broadcast_to(np.float64(2), (1 << 28,))
    done = threading.Event()
    thread = threading.Thread(target=lambda: (dist.sum(rows, rows), done.set()))
    thread.start()
    counted = 0
    while not done.is_set():
        counted += 1
        time.sleep(0.001)
    thread.join()
    assert counted > 5


def test_the_number_of_threads_does_not_change_sums():
    x = np.random.default_rng(1).random(5_000_000)
    before, sums = wf.get_num_threads(), set()
    try:
        for threads in [1, 2, 3, 8]:
            wf.set_num_threads(threads)
            assert wf.get_num_threads() == threads
            sums.add(dist.sum(x, x))
    finally:
        wf.set_num_threads(before)
    assert len(sums) == 1
    with pytest.raises(ValueError, match="at least 1"):
        wf.set_num_threads(0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_forked_processes():
    script = """
import os, numpy as np, warpframe as wf
f = wf.function(lambda a: wf.sqrt(a))
x = np.arange(1_000_000.0)
np.testing.assert_array_equal(f(x), np.sqrt(x))          # starts the threads
child = os.fork()
if child == 0:
    np.testing.assert_array_equal(f(x), np.sqrt(x))
    np.testing.assert_array_equal(wf.function(lambda a: a + 1)(x), x + 1)
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0, status
np.testing.assert_array_equal(f(x), np.sqrt(x))
"""
    run(script)


def double(x):
    return x * 2


double_compiled = wf.function(double)


@wf.function
def halve(x):
    return x / 2


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_multiprocessing(method):
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"the system has no {method}")
    halve(np.arange(1_000_000.0))
    with multiprocessing.get_context(method).Pool(2) as pool:
        results = pool.map(halve, [np.arange(200_000.0)] * 4)
    for result in results:
        np.testing.assert_array_equal(result, np.arange(200_000.0) / 2)


def test_pickling():
    assert pickle.loads(pickle.dumps(halve)) is halve
    with pytest.raises((pickle.PicklingError, AttributeError, TypeError)):
        pickle.dumps(wf.function(lambda x: x))


@pytest.mark.skipif(sys.platform == "win32", reason="signals of the process")
def test_control_c_stops_a_call():
    rows = np.broadcast_to(np.float64(2), (1 << 38,))
    timer = threading.Timer(0.5, lambda: os.kill(os.getpid(), signal.SIGINT))
    timer.start()
    since = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        dist.sum(rows, rows)
    assert time.monotonic() - since < 60


def test_import_is_fast_and_starts_no_thread():
    script = """
import threading, time, os
import numpy
since = time.perf_counter()
import warpframe
took = time.perf_counter() - since
tasks = len(os.listdir("/proc/self/task")) if os.path.isdir("/proc/self/task") else threading.active_count()
import sys
print(took, tasks, any(name in sys.modules for name in ["pandas", "polars", "pyarrow"]))
"""
    # NumPy's BLAS has threads of its own, unless it has one core.
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment, check=True)
    _, tasks, imported = done.stdout.split()
    assert (tasks, imported) == ("1", "False")


SOURCE = Path(__file__).parents[2]

ON_GPU = """
import sys
sys.path.insert(0, {packages!r})
import warpframe as wf
wf.Session(backend="cuda").sql("SELECT exp(x / 1e9) * exp(y / 1e9) AS r FROM rows LIMIT 10").to_numpy()
"""


@pytest.mark.skipif(shutil.which("c++") is None, reason="there is no C++ compiler to compile a simulated driver")
def test_nvrtc_is_found_where_python_finds_packages(tmp_path):
    """The package nvidia-cuda-nvrtc may be in any folder of sys.path. The driver and NVRTC are simulated."""
    driver, nvrtc = tmp_path / "driver", tmp_path / "packages" / "nvidia" / "cu13" / "lib"
    kernels = [SOURCE / "kernels" / name for name in ["host_shim.h", "prelude.cuh", "log3.cu", "sum.cu"]]
    libraries = {
        driver / "libcuda.so.1": [*kernels, SOURCE / "tests" / "common" / "libcuda.cpp"],
        nvrtc / "libnvrtc.so.13": [SOURCE / "tests" / "common" / "libnvrtc.cpp"],
    }
    for library, sources in libraries.items():
        library.parent.mkdir(parents=True)
        text = tmp_path / "source.cpp"
        text.write_text("\n".join(source.read_text() for source in sources))
        options = ["-std=c++17", "-O1", "-ffp-contract=off", "-shared", "-fPIC"]
        definitions = ["-DVERSION=13000", "-DWITHOUT_CALIBRATION"]
        subprocess.run(["c++", *options, *definitions, "-o", library, text], check=True)
    (driver / "libcuda.so").symlink_to("libcuda.so.1")
    log = tmp_path / "log"
    environment = os.environ | {
        "LD_LIBRARY_PATH": str(driver), "XDG_CACHE_HOME": str(tmp_path / "cache"), "FAKE_CUDA_VERSION": "13000",
        "FAKE_CUDA_ANY_KERNEL": "1", "FAKE_CUDA_LOG": str(log),
    }
    environment.pop("WARPFRAME_NVRTC", None)
    run(ON_GPU.format(packages=str(tmp_path / "packages")), environment)
    assert "compile sm_90" in log.read_text()
