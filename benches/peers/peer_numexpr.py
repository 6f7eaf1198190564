"""numexpr: the formula, evaluated in blocks that fit into the cache, on all threads. A condition is evaluated first, and its
mask selects the values of the columns."""

import numexpr as ne

from formula import NUMEXPR
from run import Peer

PACKAGES = ["numexpr"]


class NumExpr(Peer):
    def __init__(self, rows, settings):
        ne.set_num_threads(settings["threads"])
        self.columns = rows.columns()

    def prepare(self, query):
        self.names = query.formula.columns
        self.formula = query.formula.text(NUMEXPR)
        self.condition = query.filter and query.filter.text(NUMEXPR)

    def collect(self):
        columns = {name: self.columns[name] for name in self.names}
        if self.condition:
            mask = ne.evaluate(self.condition, local_dict=self.columns)
            columns = {name: column[mask] for name, column in columns.items()}
        return ne.evaluate(self.formula, local_dict=columns)

    def sum(self):
        return self.collect().sum()


MODES = {"numexpr": NumExpr}
