"""Ctrl-C, processes and threads."""

from __future__ import annotations

import copy
import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pyarrow as pa
import pytest

import warpframe as wf

# Queries that take days.
ENDLESS = "SELECT sum(sin(x)) AS n FROM generate_rows(1000000000000)"
ENDLESS_FILTER = "SELECT x FROM generate_rows(1000000000000) WHERE sin(x) > 2"


def run_python(code: str) -> str:
    """Run code in another interpreter and return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def interrupted(action) -> float:
    """Return the seconds between the signal and the exception."""
    sent = []

    def send():
        sent.append(time.monotonic())
        signal.raise_signal(signal.SIGINT)

    timer = threading.Timer(0.3, send)
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        action()
    timer.join()
    return time.monotonic() - sent[0]


@pytest.mark.parametrize("method", ["to_arrow", "to_numpy", "count", "batches", "explain", "_repr_html_"])
def test_ctrl_c_stops_a_query(session, method):
    query = session.sql(ENDLESS_FILTER)
    action = {
        "batches": lambda: next(iter(query.batches())),
        "explain": lambda: query.explain(analyze=True),
    }.get(method, lambda: getattr(query, method)())
    assert interrupted(action) < 5
    assert session.sql("SELECT 1 AS a").count() == 1


def test_ctrl_c_leaves_no_output(session, inputs, tmp_path):
    assert interrupted(lambda: session.sql(ENDLESS).write_parquet(tmp_path / "query.parquet")) < 5
    assert interrupted(lambda: session.run(inputs, select=f"({ENDLESS}) AS n", out=tmp_path / "run")) < 5
    assert os.listdir(tmp_path) == ["data"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
def test_a_forked_process_makes_its_own_session():
    printed = run_python(
        """
        import os, warpframe as wf
        session = wf.Session()
        query = session.sql("SELECT x FROM rows WHERE x <= 5")
        stream = query.batches()
        assert query.count() == 5
        child = os.fork()
        if child == 0:
            for use in (lambda: session.sql("SELECT 1"), query.count, lambda: next(stream), session.close):
                try:
                    use()
                except RuntimeError as error:
                    print(error)
            print(wf.Session().sql("SELECT sum(x) AS s FROM rows WHERE x <= 5").to_numpy())
            del session, query, stream
            raise SystemExit(7)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
        print(query.count())
        """
    )
    before = "was made before the process was forked: make a new one in the child process"
    assert printed.splitlines() == [
        f"this Session {before}",
        f"this Query {before}",
        f"this iterator {before}",
        f"this Session {before}",
        "{'s': array([15.])}",
        "5",
    ]


def test_sessions_are_not_pickled(session):
    query = session.sql("SELECT 1 AS a")
    for value, name in ((session, "Session"), (query, "Query")):
        for send in (pickle.dumps, copy.copy, copy.deepcopy):
            with pytest.raises(TypeError, match=f"a {name} cannot be pickled"):
                send(value)


def test_threads_share_a_session(session):
    session.register("t", {"a": np.arange(100_000)})
    query = session.sql("SELECT sum(a) AS s FROM t")
    found, failed = [], []

    def work(number):
        try:
            session.register(f"t{number}", {"a": np.arange(number)})
            own = session.sql(f"SELECT count(*) AS n FROM t{number}")
            found.append((query.to_numpy()["s"][0], own.to_numpy()["n"][0] - number))
        except Exception as error:  # noqa: BLE001
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(1, 17)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert found == [(4_999_950_000, 0)] * 16


def test_a_query_runs_without_the_gil(session):
    counted = 0
    query = session.sql("SELECT sum(sin(x) * cos(y)) AS s FROM rows")
    thread = threading.Thread(target=query.to_numpy)
    thread.start()
    while thread.is_alive():
        counted += 1
        time.sleep(0.001)
    thread.join()
    assert counted > 10


def test_a_stream_of_python_code_is_read(session):
    schema = pa.schema({"a": pa.int64()})

    def batches(fails):
        for number in range(5):
            yield pa.record_batch({"a": [number]}, schema=schema)
        if fails:
            raise RuntimeError("the source is broken")

    session.register("t", pa.RecordBatchReader.from_batches(schema, batches(False)))
    assert session.sql("SELECT sum(a) AS s FROM t").to_numpy()["s"] == [10]
    with pytest.raises(wf.WarpframeError, match="the source is broken$"):
        session.register("t", pa.RecordBatchReader.from_batches(schema, batches(True)))


def test_importing_starts_no_thread():
    printed = run_python(
        """
        import os, numpy
        before = len(os.listdir("/proc/self/task"))
        import warpframe
        print(len(os.listdir("/proc/self/task")) - before)
        """
    )
    assert printed == "0\n"
