"""Runs one mode of an external tool (peer) in this process: python run.py '{"program": "numpy", "mode": "numpy", ...}'.

The module `peer_<program>.py` has a dictionary MODES from names to classes. The constructor takes the rows and the settings,
and converts the rows to the format of the tool. `prepare` takes a query: a formula, a condition that rows must meet, if any,
and the kind of result. Then `collect` returns an array, `sum` a number, and `parquet` writes a file.

Requests come as JSON objects, one per line of stdin, and each gets one line of stdout as its answer; the first line, without a
request, tells that the rows are loaded:

- `{"prepare": {"formula": TREE, "filter": TREE or null, "result": "collect"}}`
- `{"run": true}`: runs the query once, and answers with its time in milliseconds
- `{"answer": true}`: writes the result of the last run to the file `answer` of the settings, or answers with the sum

An answer with `skipped` says why the tool cannot do what is asked, one with `failed` has its error. The process ends when
stdin does.
"""

import importlib
import json
import os
import queue
import shutil
import signal
import sys
import threading
import time

from formula import Formula, Unavailable

STARTED = time.perf_counter()


class Query:
    """A formula over the rows that meet a condition, or over all rows."""

    def __init__(self, request):
        self.formula = Formula(request["formula"])
        self.filter = Formula(request["filter"]) if request["filter"] else None
        self.kind = request["result"]
        #: The names of the columns that it reads.
        self.columns = sorted({*self.formula.columns, *(self.filter.columns if self.filter else [])}, key="xyzw".index)


class Peer:
    """The base class of modes."""

    #: Whether the mode uses all threads; otherwise it uses one.
    parallel = True
    #: The mode evaluates 1/fraction of the rows; the times are extrapolated.
    fraction = 1

    def prepare(self, query):
        """Takes a query, which the following runs evaluate. What it compiles is compiled in the first of them."""
        raise NotImplementedError

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
        """NumPy arrays by the names of the columns, copied so that NumPy allocates and aligns them."""
        import numpy as np

        table = self.table()
        return {name: np.array(table[name].chunk(0).to_numpy()) for name in table.column_names}


def requests():
    """The lines of stdin. At its end, this process and its children are killed, also during a run."""
    lines = queue.SimpleQueue()

    def read():
        for line in sys.stdin:
            lines.put(line)
        os.killpg(0, signal.SIGKILL) if os.getpgid(0) == os.getpid() else os._exit(1)

    threading.Thread(target=read, daemon=True).start()
    while True:
        yield json.loads(lines.get())


def milliseconds(since):
    return (time.perf_counter() - since) * 1e3


def version(*packages):
    from importlib.metadata import version

    return ", ".join(f"{package} {version(package)}" for package in packages)


class Server:
    """Loads the rows into a tool, and answers requests."""

    def __init__(self, settings):
        self.settings, self.peer, self.query, self.result = settings, None, None, None

    def load(self):
        settings = self.settings
        program = importlib.import_module("peer_" + settings["program"])
        mode = program.MODES[settings["mode"]]
        loaded = {
            "version": ", ".join(part for part in [version(*program.PACKAGES), *getattr(program, "NOTES", [])] if part),
            "import_ms": milliseconds(STARTED),
            "threads": settings["threads"] if mode.parallel else 1,
        }
        since = time.perf_counter()
        self.peer = mode(Rows(settings), settings)
        return loaded | {"load_ms": milliseconds(since)}

    def answer(self, request):
        if "prepare" in request:
            self.result = None
            self.query = Query(request["prepare"])
            self.peer.prepare(self.query)
            return {}
        return self.run() if "run" in request else self.save()

    def run(self):
        kind, path = self.query.kind, self.settings["answer"]
        self.result = None
        if kind == "parquet":
            remove(path)
        since = time.perf_counter()
        self.result = self.peer.parquet(path) if kind == "parquet" else getattr(self.peer, kind)()
        if kind == "parquet":
            sync(path)
        return {"ms": milliseconds(since) * self.peer.fraction}

    def save(self):
        saved = {"rows": self.settings["rows"] // self.peer.fraction}
        if self.query.kind == "sum":
            saved["sum"] = float(self.result)
        elif self.query.kind == "collect":
            self.peer.to_host(self.result).tofile(self.settings["answer"])
        return saved


def remove(output):
    """Removes the output of an earlier run, a file or a folder."""
    if os.path.isdir(output):
        shutil.rmtree(output)
    elif os.path.exists(output):
        os.remove(output)


def sync(output):
    """Flushes a file, or the files in a folder, to disk."""
    inside = os.listdir(output) if os.path.isdir(output) else []
    for path in [os.path.join(output, name) for name in inside] or [output]:
        descriptor = os.open(path, os.O_RDONLY)
        os.fsync(descriptor)
        os.close(descriptor)


def attempt(action, *arguments):
    try:
        return action(*arguments)
    except ModuleNotFoundError as error:
        return {"skipped": f"the Python package {error.name} is not installed"}
    except Unavailable as error:
        return {"skipped": str(error)}
    except Exception as error:
        return {"failed": f"{type(error).__name__}: {error}".splitlines()[0]}


def main():
    settings = json.loads(sys.argv[1])
    # What tools print goes to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    incoming = requests()
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cores[: settings["threads"]])
    server = Server(settings)
    found = attempt(server.load)
    while True:
        print(json.dumps(found), file=answers, flush=True)
        request = next(incoming)
        if "close" in request:
            break
        found = attempt(server.answer, request)
    if server.peer:
        server.peer.close()
    # Exit without waiting for threads that some tools leave running.
    os._exit(0)


# Worker processes of some tools import this file again.
if __name__ == "__main__":
    # Make `from run import ...` refer to this module.
    sys.modules["run"] = sys.modules["__main__"]
    main()
