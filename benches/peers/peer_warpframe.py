"""warpframe's own Python package: a traced function of NumPy arrays, and SQL over a registered table.

A condition of the traced function is a function of its own, whose mask selects the values of the columns first.
"""

import numpy as np
import warpframe as wf

from formula import DATAFUSION, NUMPY
from run import Peer

PACKAGES = ["warpframe"]


class Traced(Peer):
    def __init__(self, rows, settings):
        wf.set_num_threads(settings["threads"])
        self.columns = rows.columns()

    def prepare(self, query):
        self.formula = wf.function(query.formula.function(NUMPY, {"np": np}))
        self.condition = query.filter and wf.function(query.filter.function(NUMPY, {"np": np}))
        self.query = query

    def arguments(self):
        columns = [self.columns[name] for name in self.query.formula.columns]
        if self.condition:
            mask = self.condition(*(self.columns[name] for name in self.query.filter.columns))
            columns = [column[mask] for column in columns]
        return columns

    def collect(self):
        return self.formula(*self.arguments())

    def sum(self):
        return self.formula.sum(*self.arguments())


class Sql(Peer):
    def __init__(self, rows, settings):
        self.session = wf.Session(threads=settings["threads"])
        self.session.register("rows", rows.table())
        self.file = rows.file

    def prepare(self, query):
        self.formula = query.formula.text(DATAFUSION)
        self.condition = f" WHERE {query.filter.text(DATAFUSION)}" if query.filter else ""

    def collect(self):
        query = self.session.sql(f"SELECT {self.formula} AS r FROM rows{self.condition}")
        return query.to_numpy()["r"]

    def sum(self):
        query = self.session.sql(f"SELECT sum({self.formula}) AS s FROM rows{self.condition}")
        return query.to_numpy()["s"][0]

    def parquet(self, path):
        if "file" not in self.session.tables():
            self.session.register("file", self.file)
        query = self.session.sql(f"SELECT {self.formula} AS r FROM file{self.condition}")
        query.write_parquet(path, compression="none", overwrite=True)


MODES = {"warpframe-numpy": Traced, "warpframe-sql": Sql}
