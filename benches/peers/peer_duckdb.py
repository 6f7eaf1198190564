"""DuckDB: SQL over a DuckDB table."""

import duckdb

from formula import DUCKDB
from run import Peer

PACKAGES = ["duckdb"]


class DuckDB(Peer):
    def __init__(self, rows, settings):
        self.file = rows.file
        self.database = duckdb.connect(config={"threads": settings["threads"]})
        self.database.register("source", rows.table())
        self.database.execute("CREATE TABLE rows AS SELECT * FROM source")
        self.database.unregister("source")

    def prepare(self, query):
        self.formula = query.formula.text(DUCKDB)
        self.condition = f" WHERE {query.filter.text(DUCKDB)}" if query.filter else ""

    def collect(self):
        query = f"SELECT {self.formula} AS r FROM rows{self.condition}"
        return self.database.execute(query).fetchnumpy()["r"]

    def sum(self):
        return self.database.execute(f"SELECT sum({self.formula}) FROM rows{self.condition}").fetchone()[0]

    def parquet(self, path):
        query = f"SELECT {self.formula} AS r FROM read_parquet('{self.file}'){self.condition}"
        self.database.execute(f"COPY ({query}) TO '{path}' (FORMAT parquet, COMPRESSION uncompressed)")


MODES = {"duckdb": DuckDB}
