"""Numba: the compiled loop over columns on one thread and on all threads, and over an array of shape (rows, 3), the
layout of the demo.

Numba uses Intel's vector functions (SVML) if llvmlite was built with them and icc_rt is installed. Conda's llvmlite is
built with them, PyPI's is not.
"""

from math import log

import numba
import numpy as np
from numba import njit, prange

from run import Peer

PACKAGES = ["numba", "llvmlite"]
NOTES = ["with SVML" if numba.config.USING_SVML else "without SVML"]


def collect(x, y, z):
    out = np.empty_like(x)
    for i in prange(len(x)):
        out[i] = log(x[i]) * log(y[i]) * log(z[i])
    return out


def total(x, y, z):
    result = 0.0
    for i in prange(len(x)):
        result += log(x[i]) * log(y[i]) * log(z[i])
    return result


def collect_rows(rows):
    out = np.empty(len(rows))
    for i in prange(len(rows)):
        out[i] = log(rows[i, 0]) * log(rows[i, 1]) * log(rows[i, 2])
    return out


def total_rows(rows):
    result = 0.0
    for i in prange(len(rows)):
        result += log(rows[i, 0]) * log(rows[i, 1]) * log(rows[i, 2])
    return result


class Serial(Peer):
    parallel = False
    formulas = (collect, total)

    def __init__(self, rows, settings):
        numba.set_num_threads(settings["threads"])
        compiled = njit(parallel=self.parallel, fastmath=True, error_model="numpy")
        self._collect, self._total = (compiled(formula) for formula in self.formulas)
        self.columns = self.arrange(rows.columns())

    def arrange(self, columns):
        return columns

    def collect(self):
        return self._collect(*self.columns)

    def sum(self):
        return self._total(*self.columns)


class Parallel(Serial):
    parallel = True


class RowTriples(Parallel):
    formulas = (collect_rows, total_rows)

    def arrange(self, columns):
        return [np.stack(columns, axis=1)]


MODES = {"numba": Serial, "numba-parallel": Parallel, "numba-rows": RowTriples}
