"""DataFusion's Python package: SQL over batches in memory, with one partition per thread."""

import pyarrow as pa
from datafusion import SessionConfig, SessionContext

from formula import DATAFUSION
from run import Peer

PACKAGES = ["datafusion", "pyarrow"]

BATCH_ROWS = 8192


class DataFusion(Peer):
    def __init__(self, rows, settings):
        partitions = settings["threads"]
        self.context = SessionContext(SessionConfig().with_target_partitions(partitions))
        table = rows.table()
        share = -(-len(table) // partitions)
        parts = [table.slice(start, share) for start in range(0, len(table), share)]
        batches = [part.to_batches(max_chunksize=BATCH_ROWS) for part in parts]
        self.context.register_record_batches("rows", batches)
        self.file = rows.file

    def prepare(self, query):
        self.formula = query.formula.text(DATAFUSION)
        self.condition = f" WHERE {query.filter.text(DATAFUSION)}" if query.filter else ""

    def collect(self):
        # Partition by partition, to keep the order of the rows.
        query = self.context.sql(f"SELECT {self.formula} AS r FROM rows{self.condition}")
        return pa.chunked_array([batch["r"] for batches in query.collect_partitioned() for batch in batches])

    def sum(self):
        query = f"SELECT sum({self.formula}) AS s FROM rows{self.condition}"
        return self.context.sql(query).collect()[0]["s"][0].as_py()

    def parquet(self, path):
        if not self.context.table_exist("file"):
            self.context.register_parquet("file", self.file)
        query = self.context.sql(f"SELECT {self.formula} AS r FROM file{self.condition}")
        query.write_parquet(path, compression="uncompressed")


MODES = {"datafusion-python": DataFusion}
