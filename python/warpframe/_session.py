"""Sessions: tables, functions and settings of queries."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn, overload

from . import _arguments, _sources, _warpframe
from ._progress import ProgressBar
from ._query import Query, WriteSummary

if TYPE_CHECKING:
    import os

_waits_at_exit = False


class Session:
    """Tables, functions and settings of SQL queries.

    A session can be used by several threads, and by the process that has made it only: neither by a process forked
    from it, nor, pickled, by another one. Every session has the table ``rows`` of ten million generated rows
    ``id, x, y, z``.

    Parameters
    ----------
    threads : int, optional
        The number of threads of a query; by default that of the cores.
    backend : {"auto", "interpreted", "simd", "cuda"}
        What evaluates fused expressions. "auto" chooses for every batch.
    memory_limit : int or str, optional
        The memory that the operators of all queries may hold: a number of bytes, or a text such as "2GiB", "50%" of the
        memory, or "none". By default it is 75 % of the memory of the machine, or of its control group.
    batch_size : int, optional
        The number of rows of a batch; 8192 by default.
    fuse : bool
        Whether numeric expressions are compiled to fused programs.
    cluster : str, optional
        The scheduler of the cluster that runs the queries, as ``df://HOST:PORT``; this process by default.
    cluster_wait : float, optional
        The seconds to wait for the first executor; 10 by default.
    token_file : str or path, optional
        A file with the token of the cluster. The environment variable ``WARPFRAME_CLUSTER_TOKEN`` can hold it instead.
    tls_cert, tls_key, tls_ca : str or path, optional
        The certificate of this process, its private key, and the certificate of the cluster's authority, as PEM files, for a
        cluster with TLS. The environment variables ``WARPFRAME_TLS_CERT``, ``WARPFRAME_TLS_KEY`` and ``WARPFRAME_TLS_CA`` can
        hold the paths instead.

    Raises
    ------
    TypeError, ValueError
        An argument is of a wrong type or out of range, or this machine does not have the backend.

    Examples
    --------
    >>> import numpy as np, warpframe as wf
    >>> with wf.Session(threads=2, memory_limit="1GiB") as session:
    ...     session.register("t", {"x": np.array([1.0, 4.0, 9.0])})
    ...     session.sql("SELECT sqrt(x) AS root FROM t WHERE x > 1").to_numpy()
    {'root': array([2., 3.])}
    """

    def __init__(
        self,
        *,
        threads: int | None = None,
        backend: str = "auto",
        memory_limit: int | str | None = None,
        batch_size: int | None = None,
        fuse: bool = True,
        cluster: str | None = None,
        cluster_wait: float | None = None,
        token_file: str | os.PathLike[str] | None = None,
        tls_cert: str | os.PathLike[str] | None = None,
        tls_key: str | os.PathLike[str] | None = None,
        tls_ca: str | os.PathLike[str] | None = None,
    ) -> None:
        files = {"token_file": token_file, "tls_cert": tls_cert, "tls_key": tls_key, "tls_ca": tls_ca}
        if cluster is None and (cluster_wait is not None or any(file is not None for file in files.values())):
            raise ValueError("cluster_wait, token_file, tls_cert, tls_key and tls_ca go with cluster")
        self._native = _warpframe.Session(
            threads=None if threads is None else _arguments.count("threads", threads, _arguments.MAX_THREADS),
            backend=_arguments.text("backend", backend),
            memory_limit=None if memory_limit is None else _arguments.memory_limit(memory_limit),
            batch_size=None if batch_size is None else _arguments.count("batch_size", batch_size),
            fuse=bool(fuse),
            cluster=None if cluster is None else _arguments.text("cluster", cluster),
            cluster_wait=None if cluster_wait is None else float(cluster_wait),
            **{name: None if file is None else _arguments.path(name, file) for name, file in files.items()},
        )
        _wait_at_exit()

    @overload
    def register(self, name: Callable[..., Any], /) -> None: ...
    @overload
    def register(self, name: str, data: object, *, copy: bool = True) -> None: ...

    def register(self, name: Any, data: object = None, *, copy: bool = True) -> None:
        """Register data as a table, or a function.

        A table or function of that name is replaced. Queries that were made before keep the old one.

        Parameters
        ----------
        name : str or function
            The name of the table in SQL; or a function made by `warpframe.function`, without `data`.
        data : str, path, frame, Arrow data, Query or dict of arrays
            - Files, by a path, folder, glob pattern or URL: Parquet, CSV or Arrow, by their extension.
            - Objects with the Arrow PyCapsule interface, such as a pyarrow Table, a Polars DataFrame or a DuckDB relation.
              They are not copied, and a stream is read to its end.
            - A pandas DataFrame, without its index. Missing values, and so NaN, are null.
            - A dict of arrays of shape (rows,), or a structured array. A masked value and NaT are null, NaN is not.

            SQL folds names to lower case: ``SELECT "Close" FROM t`` reads the column ``Close``.
        copy : bool
            Whether to copy pandas frames and NumPy arrays, whose values can change. Without the copy, the caller must not
            change them while they are registered or queried.

        Raises
        ------
        FileNotFoundError
            No file matches.
        OSError
            A file cannot be read, is damaged, or has an unknown extension.
        TypeError
            The data is no table, or has a column of an unsupported type, which the message names.
        ValueError
            The columns have different lengths or equal names, or the session is closed.

        Examples
        --------
        >>> import numpy as np, warpframe as wf
        >>> session = wf.Session()
        >>> session.register("t", {"x": np.ma.array([1.0, 2.0, 3.0], mask=[False, True, False])})
        >>> session.sql("SELECT count(*) AS rows, count(x) AS known FROM t").to_numpy()
        {'rows': array([3]), 'known': array([2])}
        """
        if data is None:
            function = _native_function(name)
            self._native.register_function(function)
        else:
            _sources.register(self._native, _arguments.text("the name of a table", name), data, bool(copy))

    def deregister(self, name: str) -> None:
        """Remove a table. Queries that were made before keep it.

        Raises
        ------
        ValueError
            There is no such table.
        """
        if not self._native.deregister(_arguments.text("the name of a table", name)):
            raise ValueError(f"there is no table '{name}'")

    def tables(self) -> list[str]:
        """Return the names of the tables, sorted.

        Examples
        --------
        >>> import warpframe as wf
        >>> wf.Session().tables()
        ['rows']
        """
        return self._native.tables()

    def sql(self, query: str) -> Query:
        """Plan a SQL query, which runs when its rows are asked for.

        A statement that changes the session (``SET``, ``CREATE FUNCTION``, ``CREATE TABLE``, ``DROP``), and one that writes
        (``INSERT``, ``COPY``), takes effect at once.

        Raises
        ------
        ValueError
            The text is not one valid statement; the message has the position. Or the session is closed.

        Examples
        --------
        >>> import warpframe as wf
        >>> session = wf.Session()
        >>> session.sql("CREATE FUNCTION twice(a DOUBLE) RETURNS DOUBLE RETURN 2 * a")
        <warpframe.Query>
          without columns
        >>> session.sql("SELECT twice(x) AS y FROM rows WHERE x <= 2 ORDER BY x").to_numpy()
        {'y': array([2., 4.])}
        """
        return Query(self._native.sql(_arguments.text("the query", query)))

    def execute(self, script: str) -> None:
        """Run statements separated by ';' for what they do to the session.

        Raises
        ------
        ValueError
            A statement is not valid; those before it have run, unless the text is no SQL at all.

        Examples
        --------
        >>> import warpframe as wf
        >>> session = wf.Session()
        >>> session.execute("CREATE TABLE t AS SELECT 1 AS a; SET datafusion.execution.batch_size = 1024")
        >>> session.tables()
        ['rows', 't']
        """
        self._native.execute(_arguments.text("the script", script))

    def create_function(self, name: str, parameters: Sequence[str] | Mapping[str, str], expression: str) -> None:
        """Define a function by a SQL expression. A function that was defined before under this name is replaced.

        Parameters
        ----------
        name : str
            The name in SQL, which folds it to lower case.
        parameters : sequence of str, or mapping of str to str
            The names of the parameters, which are of type DOUBLE, or their names and SQL types.
        expression : str
            The SQL expression of the parameters.

        Raises
        ------
        TypeError
            An argument is of a wrong type.
        ValueError
            A name is no identifier or that of a built-in function, or the expression is not valid.

        Examples
        --------
        >>> import warpframe as wf
        >>> session = wf.Session()
        >>> session.create_function("distance", ["a", "b"], "sqrt(a * a + b * b)")
        >>> session.create_function("half", {"n": "BIGINT"}, "n / 2")
        >>> session.sql("SELECT distance(3, 4) AS d, half(5) AS h").to_numpy()
        {'d': array([5.]), 'h': array([2])}
        """
        if isinstance(parameters, str):
            raise TypeError("parameters must be a list of names, not str")
        types = parameters if isinstance(parameters, Mapping) else dict.fromkeys(parameters, "DOUBLE")
        if len(types) < len(parameters):
            raise ValueError("two parameters have one name")
        declared = ", ".join(
            f"{_arguments.identifier('a parameter', parameter)} {_arguments.text('the type of a parameter', kind)}"
            for parameter, kind in types.items()
        )
        name = _arguments.identifier("the name of a function", name)
        self.sql(f"CREATE OR REPLACE FUNCTION {name}({declared}) RETURN {_arguments.text('the expression', expression)}")

    def run(
        self,
        input: str | os.PathLike[str],
        *,
        select: str,
        out: str | os.PathLike[str],
        where: str | None = None,
        init: str | None = None,
        overwrite: bool = False,
        compression: str = "none",
        row_group_rows: int = 1_048_576,
        progress: bool | Callable[[int, int], object] = True,
    ) -> WriteSummary:
        """Evaluate expressions over files and write files, batch by batch.

        The output has the rows in the order of the input files. It appears when it is complete: if the run fails or is
        interrupted, nothing is written.

        Parameters
        ----------
        input : str or path
            Files in the formats of tables: a file, a folder, a glob pattern or a URL. In SQL they are the table ``input``.
        select : str
            The SQL expressions of the output columns, such as ``"id, sqrt(x) AS r"``, with the functions of the session.
        out : str or path
            The output: one file if the name has the extension of a format, such as ``.parquet`` or ``.csv.gz``, or a folder
            with a Parquet file for each thread if it has none; or a URL.
        where : str, optional
            The SQL condition that selects rows.
        init : str, optional
            SQL statements to run before, such as ``CREATE FUNCTION``. They do not change the session.
        overwrite : bool
            Whether an existing output may be replaced.
        compression : {"none", "snappy", "lz4", "zstd"}
            The compression of pages of Parquet.
        row_group_rows : int
            The most rows of a row group of Parquet.
        progress : bool or callable
            Whether to show a progress bar on the standard error stream, if it is a terminal or notebook; or a function of
            the numbers of rows that were read and of all rows (0 if it is not known), which is called every 50 ms. If it
            raises an exception, the run is cancelled.

        Returns
        -------
        WriteSummary
            Rows, bytes, files and seconds.

        Raises
        ------
        FileNotFoundError
            No file matches.
        FileExistsError
            The output exists, and `overwrite` is false.
        OSError
            A file cannot be read or written.
        ValueError
            An expression or argument is not valid, or the session is closed.
        MemoryError
            The session's memory limit is too small.
        WarpframeError
            An expression fails for a row.

        Examples
        --------
        >>> import pathlib, tempfile, warpframe as wf
        >>> session = wf.Session()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     data, roots = pathlib.Path(folder, "data.parquet"), pathlib.Path(folder, "roots.parquet")
        ...     written = session.sql("SELECT id, x FROM rows WHERE x <= 1000").write_parquet(data)
        ...     session.run(data, select="id, sqrt(x) AS root", out=roots, where="x > 500").rows
        500
        """
        start = monotonic()
        bar = ProgressBar() if progress is True else None
        try:
            written = _warpframe.run_batch(
                self._native,
                _arguments.path("input", input),
                select=_arguments.text("select", select),
                filter=None if where is None else _arguments.text("where", where),
                init=None if init is None else _arguments.text("init", init),
                output=_arguments.path("out", out),
                overwrite=bool(overwrite),
                compression=_arguments.text("compression", compression),
                row_group_rows=_arguments.count("row_group_rows", row_group_rows),
                progress=bar or progress or None,
            )
        finally:
            if bar is not None:
                bar.clear()
        for warning in written.warnings:
            warnings.warn(warning, RuntimeWarning, stacklevel=2)
        return WriteSummary(written.rows, written.bytes, written.files, monotonic() - start)

    def close(self) -> None:
        """Release the tables, except those of queries that there still are.

        Later calls of the session and its queries raise `ValueError`. A session that is no longer referred to is closed by
        itself.
        """
        self._native.close()

    def __enter__(self) -> Session:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return "<warpframe.Session, closed>" if self._native.closed else "<warpframe.Session>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Session cannot be pickled or copied: make one in each process")


def _native_function(function: object) -> Any:
    native = getattr(function, "_native", None)
    if not isinstance(native, _warpframe.Function):
        kind = type(function).__name__
        raise TypeError(f"register takes a name and data, or only a function made by warpframe.function, not {kind}")
    return native


def _wait_at_exit() -> None:
    """Let the cleanup of cancelled queries complete when the interpreter exits."""
    global _waits_at_exit
    if not _waits_at_exit:
        import atexit

        atexit.register(_warpframe.finish_cleanup)
        _waits_at_exit = True
