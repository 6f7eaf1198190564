"""The public comparison "Python comparison: JIT, CUDA and DASK", and the same in warpframe.

    python examples/python/compare_demo.py --rows 10000000 --out comparison

The formula is log(x) * log(y) * log(z) over columns with the numbers 1, 2, ..., rows. Each case computes an array of the results in
the way that its tool's documentation recommends, with all cores that the tool can use. A run begins with columns in memory, in the
tool's own format, and ends with an array of NumPy. The first run, which compiles, is reported separately. The sum of each result is
checked. A case whose tool or device is missing is skipped, with the reason.

The table goes to the standard output, and the drawing to the file chart.svg in the folder of --out.
"""

import argparse
import contextlib
import html
import logging
import math
import os
import pathlib
import re
import statistics
import subprocess
import sys
import time

import numpy as np

import warpframe as wf

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
#: The part of the rows that plain Python computes. Its time is multiplied.
PYTHON_FRACTION = 20
#: The chunks of each worker of Dask.
CHUNKS_PER_WORKER = 4

CASES = {}


class Skipped(Exception):
    """A case cannot run here; the reason."""


def case(name, description):
    """Registers a generator: the code before `yield` is not timed, and the function that it yields is a run."""

    def register(function):
        CASES[name] = (description, contextlib.contextmanager(function))
        return function

    return register


# The other tools.


@case("python", f"plain Python, extrapolated from 1/{PYTHON_FRACTION}")
def python(x, y, z):
    rows = max(len(x) // PYTHON_FRACTION, 1)
    # Spread over all rows, whose logarithms do not take the same time.
    step = len(x) // rows
    lists = [column[::step][:rows].tolist() for column in (x, y, z)]
    log = math.log

    def run():
        return [log(a) * log(b) * log(c) for a, b, c in zip(*lists)]

    run.fraction = len(lists[0]) / len(x)
    yield run


@case("numpy", "NumPy")
def numpy(x, y, z):
    yield lambda: np.log(x) * np.log(y) * np.log(z)


@case("numba", "Numba, JIT")
def numba(x, y, z):
    from numba import njit

    @njit
    def log3(x, y, z):
        out = np.empty_like(x)
        for i in range(len(x)):
            out[i] = math.log(x[i]) * math.log(y[i]) * math.log(z[i])
        return out

    yield lambda: log3(x, y, z)


@case("numba-parallel", "Numba, JIT parallel")
def numba_parallel(x, y, z):
    from numba import njit, prange

    @njit(parallel=True)
    def log3(x, y, z):
        out = np.empty_like(x)
        for i in prange(len(x)):
            out[i] = math.log(x[i]) * math.log(y[i]) * math.log(z[i])
        return out

    yield lambda: log3(x, y, z)


@case("numba-vectorize", "Numba, vectorize parallel")
def numba_vectorize(x, y, z):
    from numba import vectorize

    @vectorize(["float64(float64, float64, float64)"], target="parallel")
    def log3(x, y, z):
        return math.log(x) * math.log(y) * math.log(z)

    yield lambda: log3(x, y, z)


@case("numba-cuda", "Numba, GPU")
def numba_cuda(x, y, z):
    from numba import cuda, vectorize

    if not cuda.is_available():
        raise Skipped("Numba finds no NVIDIA GPU")

    @vectorize(["float64(float64, float64, float64)"], target="cuda")
    def log3(x, y, z):
        return math.log(x) * math.log(y) * math.log(z)

    yield lambda: log3(x, y, z)


def _log3_of_chunk(x, y, z):
    return np.log(x) * np.log(y) * np.log(z)


def _dask(columns, processes):
    from dask import config
    from dask.distributed import Client, wait

    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    # Scattered chunks are large.
    config.set({"distributed.admin.large-graph-warning-threshold": "1TB"})
    workers, threads = (CORES, 1) if processes else (1, CORES)
    options = {"dashboard_address": ":0", "silence_logs": logging.CRITICAL, "processes": processes}
    with Client(n_workers=workers, threads_per_worker=threads, **options) as client:
        chunks = [client.scatter(np.array_split(column, CORES * CHUNKS_PER_WORKER), hash=False) for column in columns]
        wait([chunk for column in chunks for chunk in column])
        yield lambda: np.concatenate(client.gather(client.map(_log3_of_chunk, *chunks, pure=False)))


@case("dask-threads", "Dask, threads")
def dask_threads(x, y, z):
    yield from _dask((x, y, z), processes=False)


@case("dask-processes", "Dask, processes")
def dask_processes(x, y, z):
    yield from _dask((x, y, z), processes=True)


# warpframe.


# Its name in SQL is not that of a built-in function.
@wf.function(name="logs")
def log3(x, y, z):
    """The formula for one row."""
    return np.log(x) * np.log(y) * np.log(z)


@case("warpframe-evaluate", "warpframe, evaluate")
def warpframe_evaluate(x, y, z):
    yield lambda: wf.evaluate("ln(x) * ln(y) * ln(z)", {"x": x, "y": y, "z": z})


@case("warpframe-function", "warpframe, function")
def warpframe_function(x, y, z):
    yield lambda: log3(x, y, z)


@case("warpframe-out", "warpframe, function with out=")
def warpframe_out(x, y, z):
    out = np.zeros_like(x)
    yield lambda: log3(x, y, z, out=out)


@case("warpframe-sql", "warpframe, SQL")
def warpframe_sql(x, y, z):
    with wf.Session(threads=CORES) as session:
        yield _query(session, x, y, z)


@case("warpframe-cuda", "warpframe, GPU")
def warpframe_cuda(x, y, z):
    on_gpu = wf.function(log3.__wrapped__, backend="cuda")
    try:
        on_gpu(x[:1], y[:1], z[:1])
    except ValueError as error:
        raise Skipped(error) from None
    yield lambda: on_gpu(x, y, z)


@case("warpframe-cluster", "warpframe, processes of a cluster")
def warpframe_cluster(x, y, z):
    command = [sys.executable, "-m", "warpframe", "cluster", "local", "--executors", str(CORES), "--slots", "1", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as cluster:
        try:
            for line in cluster.stdout:
                address = re.search(r"df://\S+:\d+", line)
                if address:
                    break
            else:
                raise Skipped("the cluster did not start")
            with wf.Session(cluster=address[0], cluster_wait=60) as session:
                yield _query(session, x, y, z)
        finally:
            cluster.terminate()
            cluster.communicate()


def _query(session, x, y, z):
    """The formula in SQL, by the function for the columns of a table."""
    # The columns are not copied: they do not change.
    session.register("columns_xyz", {"x": x, "y": y, "z": z}, copy=False)
    session.register(log3)
    query = session.sql("SELECT logs(x, y, z) AS r FROM columns_xyz")
    return lambda: query.to_numpy()["r"]


# Measuring.


class Measurement:
    """The times of a case, in seconds."""

    def __init__(self, name, first=None, times=(), skipped=None):
        self.name = name
        self.description = CASES[name][0]
        self.first = first
        self.times = times
        self.skipped = skipped

    @property
    def median(self):
        return statistics.median(self.times)


def measure(name, columns, expected, repeat):
    """Runs a case, and checks its results."""
    try:
        with CASES[name][1](*columns) as run:
            fraction = getattr(run, "fraction", 1)
            times = []
            for _ in range(repeat + 1):
                start = time.perf_counter()
                result = run()
                times.append((time.perf_counter() - start) / fraction)
                check(name, result, columns, expected, fraction)
                # Its memory is free for the next run.
                del result
    except Skipped as reason:
        return Measurement(name, skipped=str(reason))
    except ImportError as error:
        return Measurement(name, skipped=f"{error.name} is not installed")
    return Measurement(name, times[0], times[1:])


def check(name, result, columns, expected, fraction):
    """Raises an error if the sum of a result is wrong."""
    rows = len(columns[0])
    actual = math.fsum(result) if isinstance(result, list) else float(np.sum(result))
    if fraction != 1:
        step = rows // len(result)
        expected = sum_of_cubes(np.arange(1, rows + 1)[::step][: len(result)])
    elif len(result) != rows:
        raise SystemExit(f"{name} returned {len(result)} rows instead of {rows}")
    if not math.isclose(actual, expected, rel_tol=1e-9, abs_tol=1e-9):
        raise SystemExit(f"the sum of {name} is {actual!r}, not {expected!r}")


def sum_of_cubes(numbers):
    """The sum of log(i) ** 3, with more digits than float64 has where NumPy has such a type."""
    chunks = np.array_split(numbers, max(len(numbers) // 1_000_000, 1))
    return float(sum(np.sum(np.log(chunk.astype(np.longdouble)) ** 3) for chunk in chunks))


def table(measurements):
    """The measurements as lines of text."""
    rows = [("case", "first, ms", "median, ms", "range, ms", "speed-up")]
    slowest = max((m.median for m in measurements if not m.skipped), default=0)
    for m in measurements:
        if m.skipped:
            rows.append((m.name, "skipped: " + m.skipped, "", "", ""))
        else:
            span = f"{min(m.times) * 1e3:.1f} - {max(m.times) * 1e3:.1f}"
            rows.append((m.name, f"{m.first * 1e3:.1f}", f"{m.median * 1e3:.1f}", span, f"{slowest / m.median:.1f}x"))
    widths = [max(len(row[i]) for row in rows if not row[1].startswith("skipped")) for i in range(5)]
    widths[0] = max(len(row[0]) for row in rows)
    lines = []
    for row in rows:
        cells = [row[0].ljust(widths[0])]
        cells += [row[1]] if row[1].startswith("skipped") else [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
        lines.append("  ".join(cells))
    return "\n".join(lines)


def chart(measurements, title):
    """The medians as a drawing in SVG: a bar for each case, on a logarithmic axis of time."""
    shown = [m for m in measurements if not m.skipped]
    skipped = [m for m in measurements if m.skipped]
    if not shown:
        raise SystemExit("no case could run, so there is no drawing")
    left, width, bar, top = 270, 520, 26, 70
    low = math.floor(math.log10(min(m.median for m in shown) * 1e3) - 0.05)
    high = max(math.log10(max(m.median for m in shown) * 1e3) + 0.1, low + 1)
    bottom = top + bar * len(shown)

    def x_of(milliseconds):
        return left + width * (math.log10(milliseconds) - low) / (high - low)

    parts = []
    for power in range(low, math.floor(high) + 1):
        x = x_of(10.0**power)
        parts.append(f'<line x1="{x:.1f}" y1="{top - 6}" x2="{x:.1f}" y2="{bottom}" stroke="#d8dce2"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 18}" text-anchor="middle" class="note">{10.0**power:g} ms</text>')
    for position, m in enumerate(shown):
        y, x = top + bar * position, x_of(m.median * 1e3)
        colour = "#c2410c" if m.name.startswith("warpframe") else "#64748b"
        parts.append(f'<text x="{left - 10}" y="{y + 16}" text-anchor="end">{html.escape(m.description)}</text>')
        parts.append(f'<rect x="{left}" y="{y + 2}" width="{x - left:.1f}" height="{bar - 7}" fill="{colour}"/>')
        value = f"{m.median * 1e3:.1f}"
        # Hides the line of the axis behind the text.
        parts.append(f'<rect x="{x + 3:.1f}" y="{y + 2}" width="{8 * len(value) + 6}" height="{bar - 7}" fill="white"/>')
        parts.append(f'<text x="{x + 6:.1f}" y="{y + 16}">{value}</text>')
    for position, m in enumerate(skipped):
        text = html.escape(f"{m.description}: skipped, {m.skipped}")
        parts.append(f'<text x="20" y="{bottom + 46 + 16 * position}" class="note">{text}</text>')
    height = bottom + 36 + 16 * len(skipped)
    size = f'width="{left + width + 70}" height="{height}"'
    return f"""<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="13">
<style>.note {{ font-size: 11px; fill: #64748b }}</style>
<rect width="100%" height="100%" fill="white"/>
<text x="20" y="28" font-size="16" font-weight="bold">{html.escape(title)}</text>
<text x="20" y="48" class="note">median time of a run, logarithmic axis; {CORES} cores</text>
{chr(10).join(parts)}
</svg>
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=10_000_000, help="the number of rows (%(default)s)")
    parser.add_argument("--repeat", type=int, default=5, help="the number of timed runs (%(default)s)")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("."), help="the folder of the drawing (%(default)s)")
    parser.add_argument("--cases", default=",".join(CASES), help="names, separated by commas (%(default)s)")
    arguments = parser.parse_args()
    names = arguments.cases.split(",")
    unknown = [name for name in names if name not in CASES]
    if unknown:
        parser.error(f"there is no case {unknown[0]}; there are {', '.join(CASES)}")
    if arguments.rows < 1 or arguments.repeat < 1:
        parser.error("--rows and --repeat must be at least 1")

    numbers = np.arange(1, arguments.rows + 1, dtype=np.float64)
    columns = (numbers, numbers.copy(), numbers.copy())
    expected = sum_of_cubes(numbers)
    print(f"log(x) * log(y) * log(z), {arguments.rows:,} rows, {CORES} cores, sum {expected:.3f}", flush=True)
    measurements = []
    for name in names:
        print(f"{name} ...", file=sys.stderr, flush=True)
        measurements.append(measure(name, columns, expected, arguments.repeat))
    print(table(measurements))
    arguments.out.mkdir(parents=True, exist_ok=True)
    path = arguments.out / "chart.svg"
    path.write_text(chart(measurements, f"log(x) · log(y) · log(z), {arguments.rows:,} rows"), encoding="utf-8")
    print(f"the drawing is in {path}")


# Processes of Dask import this file.
if __name__ == "__main__":
    main()
