"""Polars: a lazy query, with the in-memory engine and with the streaming engine."""

import polars as pl

from run import Peer

PACKAGES = ["polars"]

LOG3 = (pl.col("x").log() * pl.col("y").log() * pl.col("z").log()).alias("r")


class Polars(Peer):
    engine = "in-memory"

    def __init__(self, rows, settings):
        self.rows, self.file = pl.from_arrow(rows.table()), rows.file

    def collect(self):
        return self.rows.lazy().select(LOG3).collect(engine=self.engine)["r"].to_numpy()

    def sum(self):
        return self.rows.lazy().select(LOG3.sum()).collect(engine=self.engine).item()

    def parquet(self, path):
        pl.scan_parquet(self.file).select(LOG3).sink_parquet(path, compression="uncompressed")


class Streaming(Polars):
    engine = "streaming"


MODES = {"polars": Polars, "polars-streaming": Streaming}
