"""Comparisons of one formula in every execution mode and with other tools: `compare`."""


def compare(
    expr=None,
    *,
    rows=None,
    distribution=None,
    source=None,
    result=None,
    modes=None,
    peers=None,
    repeat=None,
    threads=None,
    cluster=None,
    python=None,
    peer_timeout=None,
    sweep=False,
    suite=None,
    progress=True,
):
    """Evaluates one formula over the same rows in every execution mode, verifies the results, and times the runs.

    The comparison runs in a process of its own, as the command ``warpframe compare`` does. Every result is compared with the
    expected ones row by row.

    Parameters
    ----------
    expr : str, optional
        A SQL expression over the columns x, y and z; by default ``ln(x) * ln(y) * ln(z)``.
    rows : int, optional
        The number of rows; 10,000,000 by default, and 4,000,000 of a suite.
    distribution : {"sequence", "uniform"}, optional
        The values: x = y = z = 1, 2, 3, ..., which is the default, or uniform in (0, 1e6].
    source : {"memory", "parquet"}, optional
        Where the rows are when the clock starts; memory by default.
    result : {"collect", "sum", "parquet"}, optional
        What each mode produces; arrays in memory by default.
    modes : sequence of str, optional
        The modes, such as ``["interpreted", "vectorized", "parallel"]``; all by default.
    peers : True or sequence of str, optional
        Other tools that run on the same rows, such as ``["numba", "jax", "warpframe-numpy"]``; `True` is all of them. They need
        their packages in the environment of `python`; those that are missing are reported as skipped.
    repeat, threads : int, optional
        The number of timed runs of each mode, and that of threads.
    cluster : str, optional
        The address of a cluster for the mode ``cluster``, such as ``"df://host:50050"``.
    python : str, optional
        The Python interpreter of the other tools; the one that runs this by default.
    peer_timeout : int, optional
        The seconds after which another tool has failed.
    sweep : bool
        Whether to compare with 1,000, 10,000, ... rows, up to `rows`.
    suite : True or sequence of str, optional
        Compares several formulas with other tools instead: all, or those named, such as ``["sigmoid", "rotation"]``.
    progress : bool
        Whether the progress is written to stderr.

    Returns
    -------
    Report
        The times, the drawing, and what was skipped.

    Raises
    ------
    ValueError
        An argument is not valid.
    WarpframeError
        The comparison failed, or a mode returned a wrong result.

    Examples
    --------
    >>> import warpframe as wf
    >>> report = wf.compare("sqrt(x) + y", rows=10_000, modes=["columnar", "parallel"], repeat=1, progress=False)
    >>> [mode["mode"] for mode in report.modes]
    ['columnar', 'parallel']
    """
    import sys

    options = {
        "--expr": expr,
        "--rows": rows,
        "--distribution": distribution,
        "--source": source,
        "--result": result,
        "--modes": _names(modes),
        "--repeat": repeat,
        "--threads": threads,
        "--cluster": cluster,
        "--peer-timeout": peer_timeout,
    }
    arguments = [f"{option}={value}" for option, value in options.items() if value is not None]
    if peers is not None and peers is not False:
        arguments.append("--peers" if peers is True else f"--peers={_names(peers)}")
    if peers or suite:
        arguments.append(f"--python={python or sys.executable}")
    if sweep:
        arguments.append("--sweep")
    if suite:
        arguments.append("--suite" if suite is True else f"--suite={_names(suite)}")
    return _run(arguments, "sweep" if sweep else "suite" if suite else "report", progress)


def _names(names):
    if names is None or isinstance(names, str):
        return names
    return ",".join(names)


def _run(arguments, name, progress):
    """Runs the command, and reads what it has written."""
    import json
    import os
    import signal
    import subprocess
    import sys
    import tempfile

    from ._warpframe import WarpframeError

    with tempfile.TemporaryDirectory(prefix="warpframe-compare-") as folder:
        command = [sys.executable, "-m", "warpframe", "compare", f"--report={folder}", *arguments]
        # A process group of its own: Ctrl-C reaches it through this process only.
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        errors = []
        try:
            for line in process.stderr:
                errors.append(line.rstrip())
                if progress and not line.startswith("error:"):
                    print(line, end="", file=sys.stderr, flush=True)
            table = process.stdout.read()
            code = process.wait()
        except BaseException:
            process.send_signal(signal.SIGINT)
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            raise
        finally:
            process.stdout.close()
            process.stderr.close()
        written = os.path.join(folder, f"{name}.json")
        if code != 0 and not os.path.exists(written):
            message = "\n".join(line for line in errors if line.startswith("error:")) or "\n".join(errors[-3:])
            message = message.removeprefix("error: ") or f"the comparison ended with the code {code}"
            raise (ValueError if code == 2 else WarpframeError)(message)
        with open(written, encoding="utf-8") as file:
            document = json.load(file)
        drawings = {}
        for kind in ["svg", "png"]:
            with open(os.path.join(folder, f"{name}.{kind}"), "rb") as file:
                drawings[kind] = file.read()
    return Report(document, table, drawings)


class Report:
    """The findings of a comparison.

    Attributes
    ----------
    document : dict
        The JSON document of the report, as ``warpframe compare --json`` writes it.
    """

    def __init__(self, document, table, drawings):
        self.document = document
        self._table = table
        self._drawings = drawings

    @property
    def modes(self):
        """The modes and tools, as dictionaries with `mode`, `status`, `median_ms` and others; those of all sizes of a sweep."""
        if "reports" in self.document:
            return [mode for report in self.document["reports"] for mode in report["modes"]]
        return self.document.get("modes", [])

    @property
    def failures(self):
        """The modes that failed, with the reasons; empty if none did."""
        failed = [mode for mode in self.modes if mode.get("status") == "failed"]
        return "; ".join(f"{mode['mode']}: {mode.get('reason')}" for mode in failed)

    def plot(self):
        """The timing drawing, which notebooks show."""
        return Drawing(self._drawings)

    def to_json(self):
        """The JSON document as text."""
        import json

        return json.dumps(self.document, indent=2)

    def __str__(self):
        return self._table

    def __repr__(self):
        return self._table

    def _repr_html_(self):
        return self._drawings["svg"].decode()


class Drawing:
    """The timing drawing of a report."""

    def __init__(self, drawings):
        self._drawings = drawings

    @property
    def svg(self):
        """The drawing as the text of an SVG document."""
        return self._drawings["svg"].decode()

    @property
    def png(self):
        """The drawing as the bytes of a PNG file."""
        return self._drawings["png"]

    def save(self, path):
        """Writes the drawing to a file; its kind follows from the extension, .svg or .png."""
        import os

        extension = os.path.splitext(os.fspath(path))[1].lower().removeprefix(".")
        if extension not in self._drawings:
            raise ValueError(f"'{path}' has neither the extension .svg nor .png")
        with open(path, "wb") as file:
            file.write(self._drawings[extension])

    def _repr_svg_(self):
        return self.svg
