"""Blosc2: a lazy expression over arrays of its own, which are not compressed because random numbers cannot be. A condition is
evaluated first, and its mask selects the values of the columns.

NumPy adds the results up: `sum` of a lazy expression is wrong in version 4.14.1 for some expressions, such as negative powers.
"""

import blosc2

from formula import BLOSC2
from run import Peer

PACKAGES = ["blosc2"]


def array(column):
    return blosc2.asarray(column, cparams={"clevel": 0})


class Blosc2(Peer):
    def __init__(self, rows, settings):
        blosc2.set_nthreads(settings["threads"])
        self.values = rows.columns()
        self.arrays = {name: array(column) for name, column in self.values.items()}

    def prepare(self, query):
        self.names, self.formula = query.formula.columns, query.formula.text(BLOSC2)
        self.condition = None
        if query.filter:
            columns = {name: self.arrays[name] for name in query.filter.columns}
            self.condition = blosc2.lazyexpr(query.filter.text(BLOSC2), columns)

    def collect(self):
        columns = {name: self.arrays[name] for name in self.names}
        if self.condition is not None:
            mask = self.condition[:]
            columns = {name: array(self.values[name][mask]) for name in self.names}
        return blosc2.lazyexpr(self.formula, columns)[:]

    def sum(self):
        return self.collect().sum()


MODES = {"blosc2": Blosc2}
