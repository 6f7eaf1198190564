"""Times of calls from Python: the first call of a new function, small arrays, large arrays with and without `out=`, and the memory
they take, beside NumPy, numexpr and Numba in the same run.

    python benches/python/calls.py [--rows 10000000] [--json FILE]

Run it on a machine without other work. The times of large arrays are medians of interleaved runs. Tools that are not installed are
left out.
"""

import argparse
import json
import platform
import statistics
import subprocess
import sys
import time

import numpy as np

import warpframe as wf

SMALL = 1_000

#: A function of the same text for each first call: nothing of an earlier one can be used again.
SOURCE = "lambda x, y, z: np.log(x + {0}) * np.log(y) * np.log(z)"


def microseconds(call, repeat=7, least_seconds=0.02):
    """The least mean time of a call in repeated loops."""
    count, best = 1, float("inf")
    while True:
        since = time.perf_counter()
        for _ in range(count):
            call()
        took = time.perf_counter() - since
        if took >= least_seconds:
            best = min(best, took / count)
            repeat -= 1
            if repeat == 0:
                return best * 1e6
        else:
            count *= 2


def interleaved(calls, repeat):
    """The median time of each call in milliseconds; they take turns."""
    times = {name: [] for name in calls}
    for call in calls.values():
        call()
    for _ in range(repeat):
        for name, call in calls.items():
            since = time.perf_counter()
            result = call()
            times[name].append((time.perf_counter() - since) * 1e3)
            del result
    return {name: statistics.median(measured) for name, measured in times.items()}


def optional(name):
    try:
        return __import__(name)
    except ImportError:
        return None


def first_calls(numba):
    """The median time of the first call of a new function of 1,000 rows, with tracing and compilation, in milliseconds."""
    x = np.linspace(1, 2, SMALL)
    makers = {"warpframe": wf.function}
    if numba:
        makers["numba.njit"] = numba.njit
        makers["numba.vectorize"] = numba.vectorize
    times = {}
    for name, maker in makers.items():
        # The first one imports modules.
        maker(eval(SOURCE.format(0.5), {"np": np}))(x, x, x)
        measured = []
        for position in range(15 if name == "warpframe" else 3):
            function = eval(SOURCE.format(position), {"np": np})
            since = time.perf_counter()
            maker(function)(x, x, x)
            measured.append((time.perf_counter() - since) * 1e3)
        times[name] = statistics.median(measured)
    return times


def import_ms():
    """The median time of `import warpframe` after NumPy, in milliseconds."""
    script = "import numpy, time; t = time.perf_counter(); import warpframe; print((time.perf_counter() - t) * 1e3)"
    runs = [subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True) for _ in range(9)]
    return statistics.median(float(run.stdout) for run in runs)


def cpu():
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            text = file.read()
    except OSError:
        return platform.processor()
    model = next(line.split(":", 1)[1].strip() for line in text.splitlines() if line.startswith("model name"))
    return f"{model}, {'AVX-512' if 'avx512f' in text else 'AVX2' if 'avx2' in text else 'no AVX2'}"


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--repeat", type=int, default=11)
    parser.add_argument("--json")
    arguments = parser.parse_args()
    numba, numexpr = optional("numba"), optional("numexpr")

    def formula(x, y, z):
        return np.log(x) * np.log(y) * np.log(z)

    log3, add = wf.function(formula), wf.function(lambda x, y: x + y)
    x = np.arange(1, SMALL + 1, dtype=np.float64)
    out = np.empty_like(x)
    small = {
        "warpframe": lambda: log3(x, x, x),
        "warpframe, out=": lambda: log3(x, x, x, out=out),
        "warpframe.evaluate": lambda: wf.evaluate("ln(x) * ln(y) * ln(z)", {"x": x, "y": x, "z": x}),
        "numpy": lambda: formula(x, x, x),
    }
    if numexpr:
        small["numexpr"] = lambda: numexpr.evaluate("log(x) * log(x) * log(x)", {"x": x})
    if numba:
        ufunc = numba.vectorize(["float64(float64, float64, float64)"])(formula)
        small["numba.vectorize"] = lambda: ufunc(x, x, x)
    small = {name: microseconds(call) for name, call in small.items()}

    rows = np.arange(1, arguments.rows + 1, dtype=np.float64)
    target = np.ones_like(rows)
    # Numba's threads wait actively for a while. NumPy's long call follows them.
    large = {
        "numpy": lambda: formula(rows, rows, rows),
        "numpy.add": lambda: np.add(rows, rows),
        "numpy.add, out=": lambda: np.add(rows, rows, out=target),
        "warpframe": lambda: log3(rows, rows, rows),
        "warpframe, out=": lambda: log3(rows, rows, rows, out=target),
        "warpframe, sum": lambda: log3.sum(rows, rows, rows),
        "warpframe, x + y": lambda: add(rows, rows),
        "warpframe, x + y, out=": lambda: add(rows, rows, out=target),
    }
    if numexpr:
        large["numexpr"] = lambda: numexpr.evaluate("log(x) * log(x) * log(x)", {"x": rows})
        large["numexpr, out="] = lambda: numexpr.evaluate("log(x) * log(x) * log(x)", {"x": rows}, out=target)
    if numba:
        parallel = numba.vectorize(["float64(float64, float64, float64)"], target="parallel")(formula)
        large["numba.vectorize, parallel"] = lambda: parallel(rows, rows, rows)
        large["numba.vectorize, parallel, out="] = lambda: parallel(rows, rows, rows, target)
    large = interleaved(large, arguments.repeat)

    report = {
        "cpu": cpu(),
        "threads": wf.get_num_threads(),
        "python": platform.python_version(),
        "versions": {"warpframe": wf.__version__, "numpy": np.__version__}
        | {module.__name__: module.__version__ for module in [numba, numexpr] if module},
        "rows": arguments.rows,
        "import_ms": import_ms(),
        "first_call_ms": first_calls(numba),
        "small_us": small,
        "large_ms": large,
    }
    print(f"{report['cpu']}, {report['threads']} threads")
    print(f"import: {report['import_ms']:.1f} ms beyond NumPy")
    for title, unit, times in [
        (f"first call, {SMALL:,} rows", "ms", report["first_call_ms"]),
        (f"log3, {SMALL:,} rows", "µs", small),
        (f"{arguments.rows:,} rows (log3, unless named)", "ms", large),
    ]:
        print(title)
        for name, value in times.items():
            print(f"  {name:<34} {value:10.2f} {unit}")
    if arguments.json:
        with open(arguments.json, "w", encoding="utf-8") as file:
            json.dump(report, file, indent=2)
            file.write("\n")


if __name__ == "__main__":
    main()
