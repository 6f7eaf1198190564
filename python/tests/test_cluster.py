"""Traced functions and frames on a local cluster whose executors have nothing of the functions' Python code."""

import os
import signal
import subprocess
import sys

import numpy as np
import polars as pl
import pytest

import warpframe as wf

OFFSET = 0.5


@wf.function
def shifted(a, b):
    return wf.where(a < b, wf.sqrt(a - b), a // 2 + OFFSET)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    folder = tmp_path_factory.mktemp("cluster")
    command = [sys.executable, "-m", "warpframe", "cluster", "local", "--executors", "2", "--slots", "1", "--port", "0"]
    process = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, start_new_session=True
    )
    try:
        address = process.stdout.readline().strip()
        assert address.startswith("df://"), address
        yield address
    finally:
        os.killpg(process.pid, signal.SIGINT)
        process.wait(timeout=60)
        process.stdout.close()


def test_functions_travel_as_plans(cluster, tmp_path):
    x = np.arange(200_000, dtype=np.float64)
    y = x[::-1] * 0.75
    frame = pl.DataFrame({"id": np.arange(len(x)), "x": x, "y": y})
    frame.write_parquet(tmp_path / "rows.parquet")
    expected = shifted(x, y)
    with wf.Session(threads=2, cluster=cluster) as session:
        session.register("files", tmp_path / "rows.parquet")
        session.register("frame", frame)
        session.register(shifted)
        for table in ["files", "frame"]:
            query = session.sql(f"SELECT id, shifted(x, y) AS r FROM {table} WHERE NOT isnan(shifted(x, y))")
            assert "ClusterExec" in query.explain()
            result = query.to_polars().sort("id")
            np.testing.assert_array_equal(result["r"].to_numpy(), expected[~np.isnan(expected)])
            total = session.sql(f"SELECT sum(shifted(x, y)) AS s FROM {table} WHERE x >= y").to_numpy()["s"][0]
            np.testing.assert_allclose(total, expected[x >= y].sum(), rtol=1e-12)
