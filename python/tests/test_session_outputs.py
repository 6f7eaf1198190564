"""Parquet files that queries and batch runs write."""

from __future__ import annotations

import importlib
import os
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

import warpframe as wf

# A query that takes days.
ENDLESS = "SELECT sum(sin(x)) AS n FROM generate_rows(1000000000000)"


def test_a_query_is_written_in_order(session, tmp_path):
    session.register("t", {"a": np.arange(200_000)})
    query = session.sql("SELECT a FROM t WHERE a % 2 = 0")
    written = query.write_parquet(tmp_path / "one.parquet", compression="zstd", row_group_rows=30_000)
    file = pq.ParquetFile(tmp_path / "one.parquet")
    assert (written.rows, written.files) == (100_000, 1)
    assert max(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)) == 30_000
    assert written.bytes == (tmp_path / "one.parquet").stat().st_size
    assert file.metadata.row_group(0).column(0).compression == "ZSTD"
    assert file.read()["a"].to_pylist() == list(range(0, 200_000, 2))
    assert query.write_parquet(tmp_path / "folder").files == len(os.listdir(tmp_path / "folder")) == 3
    with pytest.raises(FileExistsError, match="one.parquet"):
        query.write_parquet(tmp_path / "one.parquet")
    assert session.sql("SELECT 1 AS b").write_parquet(tmp_path / "one.parquet", overwrite=True).rows == 1
    with pytest.raises(OSError, match="there is no folder"):
        query.write_parquet(tmp_path / "missing" / "one.parquet")
    with pytest.raises(ValueError, match="there is no compression 'brotli': use one of none, snappy"):
        query.write_parquet(tmp_path / "two.parquet", compression="brotli")


def test_a_failed_query_writes_nothing(session, tmp_path):
    with pytest.raises(wf.WarpframeError, match="division by zero"):
        session.sql("SELECT 1 / (id - 100000) AS q FROM rows").write_parquet(tmp_path / "out.parquet")
    assert os.listdir(tmp_path) == []


def test_a_run_has_the_functions_and_tables_of_the_session(session, inputs, tmp_path):
    session.sql("CREATE FUNCTION twice(a DOUBLE) RETURNS DOUBLE RETURN 2 * a")
    session.register("few", {"id": [5, 7]})
    session.register("input", {"other": [1]})
    written = session.run(
        f"{inputs}/*.parquet",
        select="id, thrice(twice(x)) AS y",
        where="id IN (SELECT id FROM few) OR id >= 3998",
        init="CREATE FUNCTION thrice(a DOUBLE) RETURNS DOUBLE RETURN 3 * a; CREATE TABLE new AS SELECT 1 AS a",
        out=tmp_path / "out.parquet",
        progress=False,
    )
    assert (written.rows, written.files) == (4, 1) and written.seconds > 0
    rows = pq.read_table(tmp_path / "out.parquet").to_pydict()
    assert rows == {"id": [5, 7, 3998, 3999], "y": [15.0, 21.0, 11994.0, 11997.0]}
    # The session is as before.
    assert session.tables() == ["few", "input", "rows"]
    assert session.sql("SELECT * FROM input").columns == ["other"]
    with pytest.raises(ValueError, match="thrice"):
        session.sql("SELECT thrice(1.0)")


def test_what_a_run_reports(session, inputs, tmp_path, capfd):
    arguments = {"select": "id", "out": tmp_path / "out", "progress": False}
    session.run(inputs, **arguments)
    with pytest.raises(FileExistsError, match="out"):
        session.run(inputs, **arguments)
    assert session.run(inputs, **arguments, overwrite=True).rows == 4000
    with pytest.raises(FileNotFoundError, match="no file matches"):
        session.run(inputs / "*.nothing", **arguments)
    with pytest.raises(ValueError, match="there is no column 'z': use one of id, x"):
        session.run(inputs, **{**arguments, "select": "z"})
    with pytest.raises(ValueError, match="an SQL statement"):
        session.run(inputs, **arguments, init="NONSENSE")
    with pytest.raises(wf.WarpframeError, match="division by zero"):
        session.run(inputs, **{**arguments, "select": "1 / (id - 3000) AS q", "out": tmp_path / "failed"})
    assert sorted(os.listdir(tmp_path)) == ["data", "out"]
    assert capfd.readouterr().err == ""


def test_progress_of_a_run(session, inputs, tmp_path):
    seen = []

    def stop(done, rows):
        seen.append((done, rows))
        raise LookupError("enough")

    # The subquery does not end, so that there is time to be called.
    with pytest.raises(LookupError, match="enough"):
        session.run(inputs, select=f"id, ({ENDLESS}) AS n", out=tmp_path / "out", progress=stop)
    assert len(seen) == 1 and 0 <= seen[0][0] <= seen[0][1] == 4000
    assert os.listdir(tmp_path) == ["data"]


def test_the_bar_of_a_run(monkeypatch):
    progress = importlib.import_module("warpframe._progress")

    class Terminal:
        text = ""

        def isatty(self):
            return True

        def write(self, text):
            self.text += text

        def flush(self):
            pass

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    bar = progress.ProgressBar()
    bar(1, 4)
    bar(2, 4)  # Too soon after the other.
    assert terminal.text.startswith("\r########........................  25%  1 of 4 rows")
    assert "50%" not in terminal.text
    bar.clear()
    assert terminal.text.endswith(" \r")
