"""Polars: a lazy query, with the in-memory engine and with the streaming engine."""

import polars as pl

from formula import POLARS
from run import Peer

PACKAGES = ["polars"]


class Polars(Peer):
    engine = "in-memory"

    def __init__(self, rows, settings):
        self.rows, self.file = pl.from_arrow(rows.table()), rows.file

    def prepare(self, query):
        def expression(formula):
            return eval(formula.text(POLARS), {"pl": pl})

        self.formula = expression(query.formula).alias("r")
        self.condition = expression(query.filter) if query.filter else None

    def rows_of(self, frame):
        return frame if self.condition is None else frame.filter(self.condition)

    def collect(self):
        return self.rows_of(self.rows.lazy()).select(self.formula).collect(engine=self.engine)["r"].to_numpy()

    def sum(self):
        return self.rows_of(self.rows.lazy()).select(self.formula.sum()).collect(engine=self.engine).item()

    def parquet(self, path):
        query = self.rows_of(pl.scan_parquet(self.file)).select(self.formula)
        query.sink_parquet(path, compression="uncompressed")


class Streaming(Polars):
    engine = "streaming"


MODES = {"polars": Polars, "polars-streaming": Streaming}
