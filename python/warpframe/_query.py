"""Queries and their results."""

from __future__ import annotations

from collections.abc import Iterator
from time import monotonic
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from . import _arguments, _results, _warpframe

if TYPE_CHECKING:
    import os

    import numpy as np
    import pandas
    import polars
    import pyarrow

_SHOWN_ROWS = 10


class WriteSummary(NamedTuple):
    """What was written."""

    rows: int
    """Rows in all files together."""
    bytes: int
    """Bytes in all files together."""
    files: int
    """The number of files."""
    seconds: float
    """The time that it took."""


class Query:
    """A query of a session, which runs when its rows are asked for, and each time they are.

    `Session.sql` makes it. Any package with the Arrow PyCapsule interface takes a query as it takes a table, batch by
    batch: ``polars.DataFrame(query)``, ``pyarrow.RecordBatchReader.from_stream(query)``.

    The rows of `to_arrow`, `to_polars`, `to_pandas`, `to_numpy` and `write_parquet` have the order that ``ORDER BY`` asks
    for. Without it, a query of selected columns and conditions keeps the order of its table. Batches of `batches` and of
    other packages come as they are ready, so that they are in order with ``ORDER BY`` only.

    Every method that runs the query raises `MemoryError` if the session's memory limit is too small, `OSError` if files
    cannot be read, `WarpframeError` if an expression fails for a row, `ValueError` if the session is closed,
    `RuntimeError` in a process forked since, and stops at Ctrl-C. Another package that pulls batches decides itself when
    it looks for Ctrl-C.
    """

    def __init__(self, native: _warpframe.Query) -> None:
        self._native = native

    @property
    def schema(self) -> list[tuple[str, str]]:
        """The names and Arrow types of the columns.

        Examples
        --------
        >>> import warpframe as wf
        >>> wf.Session().sql("SELECT 1 AS a, 'x' AS b").schema
        [('a', 'Int64'), ('b', 'Utf8')]
        """
        return self._native.schema()

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return [name for name, _ in self.schema]

    def to_arrow(self) -> pyarrow.Table:
        """Run the query and return a pyarrow Table.

        Raises
        ------
        ImportError
            pyarrow is not installed.

        Examples
        --------
        >>> import warpframe as wf
        >>> wf.Session().sql("SELECT x FROM rows ORDER BY x LIMIT 3").to_arrow().to_pydict()
        {'x': [1.0, 2.0, 3.0]}
        """
        return _results.to_arrow(self._native.collect())

    def to_polars(self) -> polars.DataFrame:
        """Run the query and return a Polars DataFrame.

        Raises
        ------
        ImportError
            Polars is not installed.
        """
        return _results.to_polars(self._native.collect())

    def to_pandas(self) -> pandas.DataFrame:
        """Run the query and return a pandas DataFrame, converted by pyarrow.

        Raises
        ------
        ImportError
            pandas or pyarrow is not installed.
        """
        return _results.to_pandas(self._native.collect())

    def to_numpy(self) -> dict[str, np.ndarray]:
        """Run the query and return an array of shape (rows,) for each column.

        Numbers and booleans keep their type. Dates and timestamps are ``datetime64`` (those with a time zone in UTC),
        times of day and durations ``timedelta64``. A column of these with nulls is a masked array. Texts, byte strings and
        decimals are arrays of Python objects with `None` for null.

        Raises
        ------
        TypeError
            NumPy has no form of a column, such as lists.
        ValueError
            Two columns have one name.

        Examples
        --------
        >>> import numpy as np, warpframe as wf
        >>> session = wf.Session()
        >>> session.register("points", {"a": np.array([3.0, 6.0]), "b": np.array([4.0, 8.0])})
        >>> session.sql("SELECT sqrt(a * a + b * b) AS distance FROM points").to_numpy()
        {'distance': array([ 5., 10.])}
        """
        return _results.to_numpy(self._native.collect())

    def batches(self) -> Iterator[Batch]:
        """Run the query and iterate over its rows in batches, without holding all of them.

        The query stops when the iterator is deleted.

        Examples
        --------
        >>> import warpframe as wf
        >>> query = wf.Session().sql("SELECT x FROM rows LIMIT 10000")
        >>> sum(len(batch) for batch in query.batches())
        10000
        """
        return map(Batch, self._native.batches())

    def count(self) -> int:
        """Run the query and return the number of its rows.

        Examples
        --------
        >>> import warpframe as wf
        >>> wf.Session().sql("SELECT * FROM rows WHERE x <= 7").count()
        7
        """
        return self._native.count()

    def write_parquet(
        self,
        path: str | os.PathLike[str],
        *,
        overwrite: bool = False,
        compression: str = "none",
        row_group_rows: int = 1_048_576,
    ) -> WriteSummary:
        """Run the query and write its rows as Parquet.

        The output appears when it is complete. If the query fails or is interrupted, nothing is written.

        Parameters
        ----------
        path : str or path
            One file if the name ends in ``.parquet``, otherwise a folder of files; or a URL in an object store.
        overwrite : bool
            Whether an existing output may be replaced.
        compression : {"none", "snappy", "lz4", "zstd"}
            The compression of pages.
        row_group_rows : int
            The most rows of a row group.

        Returns
        -------
        WriteSummary
            Rows, bytes, files and seconds.

        Raises
        ------
        FileExistsError
            The output exists, and `overwrite` is false.
        OSError
            The output cannot be written.
        ValueError
            There is no such compression.
        """
        start = monotonic()
        written = self._native.write_parquet(
            _arguments.path("path", path),
            bool(overwrite),
            _arguments.text("compression", compression),
            _arguments.count("row_group_rows", row_group_rows),
        )
        return WriteSummary(written.rows, written.bytes, written.files, monotonic() - start)

    def explain(self, *, verbose: bool = False, analyze: bool = False) -> str:
        """Return the logical and the physical plan, which show what is fused and which backend evaluates it.

        Parameters
        ----------
        verbose : bool
            Whether to show the steps of planning, and what is not fused and why.
        analyze : bool
            Whether to run the query and show the metrics of its operators.

        Examples
        --------
        >>> import warpframe as wf
        >>> print(wf.Session(backend="interpreted").sql("SELECT ln(x) * ln(y) AS r FROM rows").explain())
        logical_plan
          ...fused(ln(x) * ln(y))[interpreted](...) AS r...
        """
        plans = self._native.explain(bool(verbose), bool(analyze))
        lines = []
        for name, plan in plans:
            lines.append(name)
            lines.extend("  " + line for line in plan.splitlines())
        return "\n".join(lines)

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        """Run the query for another package, batch by batch."""
        return self._native.__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> Any:
        """Return the columns for another package."""
        return self._native.__arrow_c_schema__()

    def __repr__(self) -> str:
        columns = self.schema
        width = max((len(name) for name, _ in columns), default=0)
        lines = [f"  {name:<{width}}  {kind}" for name, kind in columns]
        return "\n".join(["<warpframe.Query>", *(lines or ["  without columns"])])

    def _repr_html_(self) -> str:
        if not self.columns:
            return "<small>a query without columns</small>"
        table = self._native.head(_SHOWN_ROWS + 1)
        more = len(table) > _SHOWN_ROWS
        note = f"the first {_SHOWN_ROWS} rows" if more else f"{len(table)} row{'s' * (len(table) != 1)}"
        return _results.to_html(table, _SHOWN_ROWS, note)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Query cannot be pickled or copied: send its rows, or its text to a Session of the other process")


class Batch:
    """Some rows of a result.

    Any package with the Arrow PyCapsule interface takes it without a copy.
    """

    def __init__(self, native: _warpframe.ArrowTable) -> None:
        self._native = native

    @property
    def schema(self) -> list[tuple[str, str]]:
        """The names and Arrow types of the columns."""
        return self._native.schema()

    def to_arrow(self) -> pyarrow.RecordBatch:
        """Return a pyarrow RecordBatch over the same memory."""
        return _results.to_record_batch(self._native)

    def to_polars(self) -> polars.DataFrame:
        """Return a Polars DataFrame."""
        return _results.to_polars(self._native)

    def to_pandas(self) -> pandas.DataFrame:
        """Return a pandas DataFrame, converted by pyarrow."""
        return _results.to_pandas(self._native)

    def to_numpy(self) -> dict[str, np.ndarray]:
        """Return an array for each column, as `Query.to_numpy` does."""
        return _results.to_numpy(self._native)

    def __arrow_c_array__(self, requested_schema: object = None) -> Any:
        """Return the rows for another package."""
        return self._native.__arrow_c_array__(requested_schema)

    def __arrow_c_stream__(self, requested_schema: object = None) -> Any:
        """Return the rows for another package as a stream of one batch."""
        return self._native.__arrow_c_stream__(requested_schema)

    def __arrow_c_schema__(self) -> Any:
        """Return the columns for another package."""
        return self._native.__arrow_c_schema__()

    def __len__(self) -> int:
        return len(self._native)

    def __repr__(self) -> str:
        return f"<warpframe.Batch of {len(self)} rows: {', '.join(name for name, _ in self.schema)}>"
