"""warpframe's own Python package: a traced function of NumPy arrays, and SQL over a registered table.

A condition is a traced function too. Its mask selects the results of all rows; in a sum it is a part of the function, with 0 for
the other rows.
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
        formula = query.formula.function(NUMPY, {"np": np})
        self.formula = wf.function(formula)
        self.arguments = [self.columns[name] for name in query.formula.columns]
        self.condition, self.summand, self.summands = None, self.formula, self.arguments
        if query.filter:
            self.condition = wf.function(query.filter.function(NUMPY, {"np": np}))
            self.tested = [self.columns[name] for name in query.filter.columns]
            names = ", ".join(query.columns)
            text = f"lambda {names}: np.where({query.filter.text(NUMPY)}, {query.formula.text(NUMPY)}, 0.0)"
            self.summand = wf.function(eval(text, {"np": np}))
            self.summands = [self.columns[name] for name in query.columns]

    def collect(self):
        result = self.formula(*self.arguments)
        return result[self.condition(*self.tested)] if self.condition else result

    def sum(self):
        return self.summand.sum(*self.summands)


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
