"""Writes checksums.parquet: 500 rows whose pages carry CRC checksums, with which readers detect damage.

    pip install pyarrow==26.0.1 && python datasets/make_checksums.py
"""

import pathlib

import pyarrow as pa
import pyarrow.parquet as pq

n = 500
table = pa.table(
    {
        "id": pa.array(range(n), pa.int64()),
        "x": pa.array([i + 1.0 for i in range(n)]),
        "y": pa.array([None if i % 7 == 0 else i / 4 + 1 for i in range(n)]),
        "z": pa.array([1e6 / (i + 1) for i in range(n)]),
    }
)
pq.write_table(
    table,
    pathlib.Path(__file__).with_name("checksums.parquet"),
    row_group_size=200,
    data_page_size=512,
    compression="snappy",
    use_dictionary=False,
    write_page_checksum=True,
)
