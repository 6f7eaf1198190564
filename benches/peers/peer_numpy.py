"""NumPy: one operation at a time over whole columns. A condition selects the values of the columns by a Boolean mask first."""

import numpy as np

from formula import NUMPY
from run import Peer

PACKAGES = ["numpy"]


class NumPy(Peer):
    parallel = False

    def __init__(self, rows, settings):
        self.columns = rows.columns()

    def prepare(self, query):
        self.query = query
        self.formula = query.formula.function(NUMPY, {"np": np})
        self.condition = query.filter and query.filter.function(NUMPY, {"np": np})

    def collect(self):
        columns = [self.columns[name] for name in self.query.formula.columns]
        if self.condition:
            mask = self.condition(*(self.columns[name] for name in self.query.filter.columns))
            columns = [column[mask] for column in columns]
        return self.formula(*columns)

    def sum(self):
        return self.collect().sum()


MODES = {"numpy": NumPy}
