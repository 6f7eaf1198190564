"""Numba: a compiled loop over columns on one thread and on all threads, the same over an array of shape (rows, columns), which
is the layout of the demo, and the formula as a universal function of NumPy (`vectorize`).

A loop with a condition writes the results of the rows that meet it one after the other. On all threads, it counts the rows of
chunks first, to know where the results of each begin. Universal functions have no conditions: a mask selects the values of the
columns first.
"""

import math

import numba
import numpy as np
from numba import njit, prange, vectorize

from formula import NUMBA, NUMPY
from run import Peer

PACKAGES = ["numba", "llvmlite"]

#: Chunks per thread of the parallel loop with a condition.
CHUNKS = 8

COLLECT = """
def collect({arguments}):
    out = np.empty(len({first}))
    for i in prange(len({first})):
        out[i] = {formula}
    return out
"""

COLLECT_WHERE = """
def collect({arguments}):
    out = np.empty(len({first}))
    k = 0
    for i in range(len({first})):
        if {condition}:
            out[k] = {formula}
            k += 1
    return out[:k]
"""

COLLECT_WHERE_PARALLEL = """
def collect({arguments}):
    count = len({first})
    ends = np.zeros(chunks + 1, dtype=np.int64)
    for chunk in prange(chunks):
        k = 0
        for i in range(chunk * count // chunks, (chunk + 1) * count // chunks):
            if {condition}:
                k += 1
        ends[chunk + 1] = k
    ends = np.cumsum(ends)
    out = np.empty(ends[chunks])
    for chunk in prange(chunks):
        k = ends[chunk]
        for i in range(chunk * count // chunks, (chunk + 1) * count // chunks):
            if {condition}:
                out[k] = {formula}
                k += 1
    return out
"""

TOTAL = """
def total({arguments}):
    result = 0.0
    for i in prange(len({first})):
        if {condition}:
            result += {formula}
    return result
"""


class Loop(Peer):
    parallel = False

    def __init__(self, rows, settings):
        numba.set_num_threads(settings["threads"])
        self.chunks = CHUNKS * settings["threads"]
        self.columns = rows.columns()

    def prepare(self, query):
        collect = COLLECT
        if query.filter:
            collect = COLLECT_WHERE_PARALLEL if self.parallel else COLLECT_WHERE
        self._collect, self._total = (self.compile(text, query) for text in (collect, TOTAL))
        self.arguments = [self.columns[name] for name in query.columns]

    def compile(self, text, query):
        idiom = NUMBA.with_columns(self.element)
        source = text.format(
            arguments=", ".join(self.names(query)),
            first=self.names(query)[0],
            formula=query.formula.text(idiom),
            condition=query.filter.text(idiom) if query.filter else "True",
        )
        defined = {**vars(math), "np": np, "prange": prange, "chunks": self.chunks}
        exec(source, defined)
        function = defined["collect" if "collect" in source else "total"]
        return njit(parallel=self.parallel, fastmath=True, error_model="numpy")(function)

    def names(self, query):
        return query.columns

    def element(self, name):
        return f"{name}[i]"

    def collect(self):
        return self._collect(*self.arguments)

    def sum(self):
        return self._total(*self.arguments)


class ParallelLoop(Loop):
    parallel = True


class RowLoop(ParallelLoop):
    def __init__(self, rows, settings):
        super().__init__(rows, settings)
        self.positions = {name: position for position, name in enumerate(self.columns)}
        self.rows = np.stack(list(self.columns.values()), axis=1)

    def prepare(self, query):
        super().prepare(query)
        self.arguments = [self.rows]

    def names(self, query):
        return ["rows"]

    def element(self, name):
        return f"rows[i, {self.positions[name]}]"


class Vectorize(Peer):
    parallel = False
    target = "cpu"

    def __init__(self, rows, settings):
        numba.set_num_threads(settings["threads"])
        self.columns = rows.columns()

    def prepare(self, query):
        self.query = query
        # Eager compilation, because the parallel target needs a signature.
        signature = f"float64({', '.join(['float64'] * len(query.formula.columns))})"
        function = query.formula.function(NUMBA, {**vars(math), "np": np})
        self.formula = vectorize([signature], target=self.target, fastmath=True)(function)
        self.condition = query.filter and query.filter.function(NUMPY, {"np": np})

    def collect(self):
        columns = [self.columns[name] for name in self.query.formula.columns]
        if self.condition:
            mask = self.condition(*(self.columns[name] for name in self.query.filter.columns))
            columns = [column[mask] for column in columns]
        return self.formula(*columns)

    def sum(self):
        return self.collect().sum()


class ParallelVectorize(Vectorize):
    parallel = True
    target = "parallel"


MODES = {
    "numba": Loop,
    "numba-parallel": ParallelLoop,
    "numba-rows": RowLoop,
    "numba-ufunc": Vectorize,
    "numba-ufunc-parallel": ParallelVectorize,
}
