"""The `warpframe` command that the package brings: output, exit codes, signals, clusters."""

import importlib.metadata
import json
import math
import os
import re
import select
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
from pathlib import Path

import pytest

MODULE = [sys.executable, "-m", "warpframe"]
ENDLESS = "SELECT id FROM generate_rows(100000000000)"
# Longer than anything takes on a busy machine.
TIMEOUT = 60


def run(folder, *arguments, program=MODULE, **options):
    """Run the command in `folder` until it ends."""
    options = {"stdin": subprocess.DEVNULL, "text": True} | options
    return subprocess.run(
        [*program, *arguments], cwd=folder, capture_output=True, timeout=TIMEOUT, **options
    )


def ok(folder, *arguments, **options):
    """Run the command in `folder` and return what it prints."""
    done = run(folder, *arguments, **options)
    assert done.returncode == 0, done
    return done.stdout


def start(folder, *arguments, program=MODULE, **options):
    """Start the command in `folder`, in a process group of its own."""
    return subprocess.Popen(
        [*program, *arguments],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        **options,
    )


def test_version_and_help(tmp_path):
    assert re.fullmatch(r"warpframe \d+\.\d+\.\d+\n", ok(tmp_path, "-V"))
    assert re.match(r"warpframe \d+\.\d+\.\d+ \(.+\)\nDataFusion ", ok(tmp_path, "--version"))
    text = ok(tmp_path, "sql", "--help")
    assert "Usage: warpframe sql" in text and "--memory-limit" in text
    nothing = run(tmp_path)
    assert nothing.returncode == 2 and "Usage: warpframe <COMMAND>" in nothing.stderr


def test_sql_prints_rows_and_nothing_else(tmp_path):
    query = "SELECT id, x * 2 AS d FROM generate_rows(3) ORDER BY id"
    done = run(tmp_path, "sql", "-q", query, "--format", "csv")
    assert (done.returncode, done.stdout, done.stderr) == (0, "id,d\n0,2.0\n1,4.0\n2,6.0\n", "")


def test_exit_codes(tmp_path):
    failed = run(tmp_path, "sql", "-q", "SELECT nothing FROM rows")
    assert failed.returncode == 1 and failed.stdout == ""
    assert failed.stderr.startswith("error: there is no column 'nothing'"), failed.stderr
    for arguments in [("sql", "--threads", "0"), ("no-command",), ("sql", "--out", "x", "-q", "SELECT 1")]:
        wrong = run(tmp_path, *arguments)
        assert wrong.returncode == 2 and wrong.stdout == "", wrong
        assert wrong.stderr.startswith("error: "), wrong


def test_run_from_parquet_to_parquet(tmp_path):
    pa = pytest.importorskip("pyarrow")
    pq = pytest.importorskip("pyarrow.parquet")
    x = [0.5, 1.0, 2.0, None, 1e6]
    pq.write_table(pa.table({"id": [5, 6, 7, 8, 9], "x": x}), tmp_path / "in.parquet")
    arguments = ["--in", "in.parquet", "--select", "id, ln(x) + 1 AS r", "--where", "id <> 6", "--out", "out.parquet"]
    done = run(tmp_path, "run", *arguments)
    assert done.returncode == 0 and done.stderr.startswith("4 rows"), done
    written = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert written["id"] == [5, 7, 8, 9]
    expected = [value if value is None else math.log(value) + 1 for value in [0.5, 2.0, None, 1e6]]
    assert written["r"] == [value if value is None else pytest.approx(value, rel=1e-15) for value in expected]
    # The output exists.
    assert run(tmp_path, "run", *arguments).returncode == 1


def test_console_script(tmp_path):
    try:
        importlib.metadata.distribution("warpframe")
    except importlib.metadata.PackageNotFoundError:
        pytest.skip("the package is not installed")
    script = shutil.which("warpframe", path=sysconfig.get_path("scripts"))
    assert script, "the console script is not installed"
    # A folder with the name of the package must not be imported, neither here nor by executors.
    (tmp_path / "warpframe").mkdir()
    (tmp_path / "warpframe" / "__init__.py").write_text("raise ImportError('the wrong package')")
    assert ok(tmp_path, "sql", "-q", "SELECT 1 AS one", "--format", "csv", program=[script]) == "one\n1\n"
    ok(tmp_path, *COMPARE, program=[script])
    check_comparison(tmp_path)


COMPARE = ["compare", "--rows", "1000", "--repeat", "1", "--modes", "cluster-processes-1", "--report", "it's"]


def check_comparison(folder):
    report = json.loads((folder / "it's" / "report.json").read_text())
    assert [(mode["mode"], mode["status"]) for mode in report["modes"]] == [("cluster-processes-1", "ok")], report
    assert report["command"] == " ".join(["warpframe", *COMPARE[:-1], "'it'\\''s'"])


def test_compare_starts_executors_and_reports_its_command_line(tmp_path):
    ok(tmp_path, *COMPARE)
    check_comparison(tmp_path)


def test_compare_runs_tools_of_this_environment(tmp_path):
    elsewhere = {name: value for name, value in os.environ.items() if name != "WARPFRAME_PYTHON"}
    elsewhere["PATH"] = str(tmp_path)
    arguments = ["--rows", "1000", "--repeat", "1", "--modes", "parallel", "--peers", "numpy", "--json", "-"]
    report = json.loads(ok(tmp_path, "compare", *arguments, "--report", "report", env=elsewhere))
    assert [(mode["mode"], mode["status"]) for mode in report["modes"]] == [("parallel", "ok"), ("numpy", "ok")], report


@pytest.mark.skipif(sys.platform != "linux", reason="needs file names that are no Unicode")
def test_arguments_of_any_bytes(tmp_path):
    path = os.path.join(os.fsencode(tmp_path), b"\xff.sql")
    Path(os.fsdecode(path)).write_text("SELECT 1 AS one")
    assert ok(tmp_path, "sql", "--format", "csv", "-f", path) == "one\n1\n"


@pytest.mark.skipif(os.name != "posix", reason="needs POSIX signals")
class TestSignals:
    def test_ctrl_c_stops_a_query(self, tmp_path):
        for number in [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]:
            process = start(tmp_path, "sql", "-q", ENDLESS, "--format", "csv")
            assert process.stdout.readline() == "id\n"
            process.send_signal(number)
            _, errors = process.communicate(timeout=TIMEOUT)
            assert (process.returncode, errors) == (128 + number, "interrupted\n")

    def test_ctrl_c_leaves_no_incomplete_output(self, tmp_path):
        process = start(tmp_path, "sql", "-q", ENDLESS, "--format", "csv", "--out", "out.csv")
        wait_until(lambda: any(file.is_file() and file.stat().st_size for file in tmp_path.rglob("*")))
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=TIMEOUT)
        assert (process.returncode, errors) == (130, "interrupted\n")
        assert list(tmp_path.iterdir()) == []

    def test_ctrl_c_ends_a_blocked_process(self, tmp_path):
        process, queries = self.reading_a_pipe(tmp_path)
        with queries:
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=TIMEOUT) == ("", "interrupted\n")
        assert process.returncode == 130

    def test_an_ignored_signal_stays_ignored(self, tmp_path):
        process, queries = self.reading_a_pipe(
            tmp_path, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_IGN)
        )
        with queries:
            process.send_signal(signal.SIGINT)
            queries.write("SELECT 1 AS one")
        assert process.communicate(timeout=TIMEOUT) == ("one\n1\n", "")
        assert process.returncode == 0

    @staticmethod
    def reading_a_pipe(folder, **options):
        """A process that waits for its statements, and the pipe to write them to."""
        os.mkfifo(folder / "statements")
        process = start(folder, "sql", "--format", "csv", "-f", "statements", **options)
        return process, open(folder / "statements", "w")  # Opens when the process opens it.

    def test_ctrl_c_cancels_a_query_of_the_shell(self, tmp_path):
        ours, theirs = os.openpty()
        process = subprocess.Popen(
            [*MODULE, "sql"],
            cwd=tmp_path,
            env=os.environ | {"XDG_DATA_HOME": str(tmp_path), "TERM": "xterm"},
            pass_fds=[theirs],
            # Makes it the terminal of the process, so that Ctrl-C becomes a signal.
            preexec_fn=lambda: os.login_tty(theirs),
        )
        os.close(theirs)
        with open(ours, "r+b", buffering=0) as shell:
            read_until(shell, b"warpframe> ")
            shell.write(f"SELECT count(*) FROM ({ENDLESS}) WHERE id % 7 = 1;\r".encode())
            read_until(shell, b"\n")
            time.sleep(0.5)  # The query is running then.
            shell.write(b"\x03")  # Ctrl-C
            read_until(shell, b"interrupted")
            read_until(shell, b"warpframe> ")
            shell.write(b"SELECT 6 * 7 AS answer;\r")
            read_until(shell, b" 42 |")
            shell.write(b"\\q\r")
            assert process.wait(TIMEOUT) == 0

    def test_a_closed_output_is_not_an_error(self, tmp_path):
        process = start(tmp_path, "sql", "-q", ENDLESS, "--format", "csv")
        assert process.stdout.readline() == "id\n"
        process.stdout.close()
        with process.stderr as errors:
            assert errors.read() == ""
        assert process.wait(TIMEOUT) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
class TestLocalCluster:
    @pytest.fixture
    def cluster(self, tmp_path):
        """A cluster of two executors in processes of their own: the process, the address, the executors."""
        arguments = ["cluster", "local", "--executors", "2", "--slots", "1", "--port", "0"]
        temporary = tmp_path / "temporary"
        temporary.mkdir()
        # Executors search packages as their parent does: -P excludes the working directory.
        program = [sys.executable, "-P", "-m", "warpframe"]
        process = start(tmp_path, *arguments, program=program, env=os.environ | {"TMPDIR": str(temporary)})
        try:
            address = process.stdout.readline().strip()
            assert address.startswith("df://127.0.0.1:"), process.stderr.read()
            executors = children(process.pid)
            assert len(executors) == 2
            for executor in executors:
                command = Path(f"/proc/{executor}/cmdline").read_text().split("\0")
                assert command[:6] == [*program, "cluster", "executor"]
            yield process, address, executors
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.communicate(timeout=TIMEOUT)

    def test_a_query_runs_on_it(self, tmp_path, cluster):
        _, address, _ = cluster
        query = "SELECT count(*) AS n, sum(x) AS s FROM generate_rows(100000)"
        assert ok(tmp_path, "sql", "--cluster", address, "-q", query, "--format", "csv") == "n,s\n100000,5000050000.0\n"
        plan = ok(tmp_path, "sql", "--cluster", address, "-q", f"EXPLAIN {query}")
        assert "ClusterExec" in plan, plan
        status = json.loads(ok(tmp_path, "cluster", "status", address, "--json"))
        assert [executor["slots"] for executor in status["executors"]] == [1, 1]

    def test_ctrl_c_ends_all_processes(self, tmp_path, cluster):
        process, _, executors = cluster
        # As a terminal does, which signals all processes of the group.
        os.killpg(process.pid, signal.SIGINT)
        self.check_end(tmp_path, process, executors)

    def test_a_signal_to_the_first_process_ends_all(self, tmp_path, cluster):
        process, _, executors = cluster
        process.terminate()
        self.check_end(tmp_path, process, executors, 143)

    @staticmethod
    def check_end(folder, process, executors, code=130):
        output, errors = process.communicate(timeout=TIMEOUT)
        assert (process.returncode, output) == (code, "")
        assert errors == "2 executors with 1 slot each; Ctrl-C stops them\ninterrupted\n"
        assert not any(map(is_running, executors))
        assert list((folder / "temporary").iterdir()) == []

    def test_executors_end_with_a_killed_parent(self, cluster):
        process, _, executors = cluster
        process.kill()
        process.wait(TIMEOUT)
        wait_until(lambda: not any(map(is_running, executors)))


def read_until(terminal, text):
    """Read from a terminal until `text` appears."""
    seen = b""
    end = time.monotonic() + TIMEOUT
    while text not in seen:
        assert select.select([terminal], [], [], max(0, end - time.monotonic()))[0], seen
        seen += terminal.read(1)
    return seen


def wait_until(condition):
    end = time.monotonic() + TIMEOUT
    while not condition():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.02)


def children(parent):
    return [pid for pid in map(int, filter(str.isdigit, os.listdir("/proc"))) if state(pid)[1] == parent]


def state(pid):
    """The state and the parent of a process."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except FileNotFoundError:
        return "X", 0
    return fields[0], int(fields[1])


def is_running(pid):
    # Ended processes may stay as zombies, where no process waits for orphans.
    return state(pid)[0] not in "XZ"
