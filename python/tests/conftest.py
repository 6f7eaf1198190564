"""Fixtures of several files."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import warpframe as wf


@pytest.fixture
def session():
    """A session with three partitions, which rows are divided among."""
    with wf.Session(threads=3) as session:
        yield session


@pytest.fixture
def inputs(tmp_path):
    """Four Parquet files of 1,000 rows."""
    (tmp_path / "data").mkdir()
    for part in range(4):
        ids = np.arange(part * 1000, part * 1000 + 1000)
        pq.write_table(pa.table({"id": ids, "x": ids * 0.5}), tmp_path / "data" / f"{part}.parquet")
    return tmp_path / "data"
