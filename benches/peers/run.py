"""Runs one mode of an external tool (peer) in this process: python run.py '{"program": "numpy", "mode": "numpy", ...}'.

The module `peer_<program>.py` has a dictionary MODES from names to classes. The constructor takes the rows and the
settings, and converts the rows to the format of the tool. `collect` returns an array, `sum` a number, and `parquet`
writes a file. The last line of stdout is a JSON object with the times and the result.
"""

import importlib
import json
import os
import shutil
import signal
import sys
import threading
import time

STARTED = time.perf_counter()


class Unavailable(Exception):
    """The tool does not support the request, or cannot run on this machine."""


class Peer:
    """The base class of modes."""

    #: Whether the mode uses all threads; otherwise it uses one.
    parallel = True
    #: The mode evaluates 1/fraction of the rows; the times are extrapolated.
    fraction = 1

    def collect(self):
        raise Unavailable("it has no arrays as a result")

    def sum(self):
        raise Unavailable("it has no sum")

    def parquet(self, path):
        raise Unavailable("it does not write Parquet from Parquet")

    def to_host(self, result):
        """Converts the result of `collect` to a NumPy array. The time is not measured."""
        import numpy as np

        return np.asarray(result, dtype=np.float64)

    def close(self):
        """Stops the processes that the tool has started."""


class Rows:
    """The rows as an Arrow file and as a Parquet file."""

    def __init__(self, settings):
        self.arrow, self.file = settings["arrow"], settings["parquet"]

    def table(self):
        """A pyarrow table of one batch, in memory."""
        import pyarrow as pa

        with pa.OSFile(self.arrow) as file:
            return pa.ipc.open_file(file).read_all()

    def columns(self):
        """Three NumPy arrays, copied so that NumPy allocates and aligns them."""
        import numpy as np

        table = self.table()
        return [np.array(table[name].chunk(0).to_numpy()) for name in ("x", "y", "z")]


def end_with_parent():
    """Kills this process and its children when the parent process closes stdin or exits."""

    def watch():
        while os.read(0, 1):
            pass
        os.killpg(0, signal.SIGKILL) if os.getpgid(0) == os.getpid() else os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def milliseconds(since):
    return (time.perf_counter() - since) * 1e3


def version(*packages):
    from importlib.metadata import version

    return ", ".join(f"{package} {version(package)}" for package in packages)


def measure(settings):
    program = importlib.import_module("peer_" + settings["program"])
    mode = program.MODES[settings["mode"]]
    found = {
        "version": ", ".join([version(*program.PACKAGES), *getattr(program, "NOTES", [])]),
        "import_ms": milliseconds(STARTED),
        "threads": settings["threads"] if mode.parallel else 1,
    }
    since = time.perf_counter()
    peer = mode(Rows(settings), settings)
    found["load_ms"] = milliseconds(since)
    try:
        found.update(timed(peer, settings))
    finally:
        peer.close()
    return found


def timed(peer, settings):
    kind, answer = settings["result"], settings["answer"]
    expected = settings["rows"] // peer.fraction

    def run():
        if kind == "parquet":
            remove(answer)
        since = time.perf_counter()
        result = peer.parquet(answer) if kind == "parquet" else getattr(peer, kind)()
        if kind == "parquet":
            settle(answer)
        elapsed = milliseconds(since)
        if kind == "collect" and len(result) != expected:
            raise ValueError(f"wrong answer: {len(result)} rows instead of {expected}")
        return elapsed, result

    first, result = run()
    times = []
    # The first run may include compilation, so only timed runs count towards the budget.
    while len(times) < settings["repeat"] and sum(times) < settings["budget_ms"]:
        del result
        elapsed, result = run()
        times.append(elapsed)
    found = {"first_ms": first * peer.fraction, "times_ms": [time * peer.fraction for time in times]}
    found["rows"] = expected
    if kind == "sum":
        found["sum"] = float(result)
    elif kind == "collect":
        peer.to_host(result).tofile(answer)
    return found


def remove(output):
    """Removes the output of an earlier run, a file or a folder."""
    if os.path.isdir(output):
        shutil.rmtree(output)
    elif os.path.exists(output):
        os.remove(output)


def settle(output):
    """Flushes a file, or the files in a folder, to disk."""
    inside = os.listdir(output) if os.path.isdir(output) else []
    for path in [os.path.join(output, name) for name in inside] or [output]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def main():
    settings = json.loads(sys.argv[1])
    end_with_parent()
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[: settings["threads"]])
    try:
        found = measure(settings)
    except ModuleNotFoundError as error:
        found = {"skipped": f"the Python package {error.name} is not installed"}
    except Unavailable as error:
        found = {"skipped": str(error)}
    except Exception as error:
        found = {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}
    print("\n" + json.dumps(found), flush=True)
    # Exit without waiting for threads that some tools leave running.
    os._exit(0)


# Worker processes of some tools import this file again.
if __name__ == "__main__":
    # Make `from run import ...` refer to this module.
    sys.modules["run"] = sys.modules["__main__"]
    main()
