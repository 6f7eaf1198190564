"""DuckDB: SQL over a DuckDB table."""

import duckdb

from run import Peer

PACKAGES = ["duckdb"]

LOG3 = "ln(x) * ln(y) * ln(z)"


class DuckDB(Peer):
    def __init__(self, rows, settings):
        self.file = rows.file
        self.database = duckdb.connect(config={"threads": settings["threads"]})
        self.database.register("source", rows.table())
        self.database.execute("CREATE TABLE rows AS SELECT x, y, z FROM source")
        self.database.unregister("source")

    def collect(self):
        return self.database.execute(f"SELECT {LOG3} AS r FROM rows").fetchnumpy()["r"]

    def sum(self):
        return self.database.execute(f"SELECT sum({LOG3}) FROM rows").fetchone()[0]

    def parquet(self, path):
        query = f"SELECT {LOG3} AS r FROM read_parquet('{self.file}')"
        self.database.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, COMPRESSION uncompressed)")


MODES = {"duckdb": DuckDB}
