"""DataFusion's Python package: SQL over batches in memory, with one partition per thread."""

import pyarrow as pa
from datafusion import SessionConfig, SessionContext

from run import Peer

PACKAGES = ["datafusion", "pyarrow"]

LOG3 = "ln(x) * ln(y) * ln(z)"
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

    def collect(self):
        # Partition by partition, to keep the order of the rows.
        partitions = self.context.sql(f"SELECT {LOG3} AS r FROM rows").collect_partitioned()
        return pa.chunked_array([batch["r"] for batches in partitions for batch in batches])

    def sum(self):
        return self.context.sql(f"SELECT sum({LOG3}) AS s FROM rows").collect()[0]["s"][0].as_py()

    def parquet(self, path):
        if not self.context.table_exist("file"):
            self.context.register_parquet("file", self.file)
        self.context.sql(f"SELECT {LOG3} AS r FROM file").write_parquet(path, compression="uncompressed")


MODES = {"datafusion-python": DataFusion}
