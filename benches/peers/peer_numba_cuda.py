"""Numba's CUDA target, as in the demo: a kernel with one thread per row, from host arrays to a host array."""

import math

import numpy as np
from numba import cuda

from formula import NUMBA_CUDA
from run import Peer, Unavailable

PACKAGES = ["numba"]

THREADS = 256

KERNEL = """
def kernel({arguments}, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = {formula}
"""


class NumbaCuda(Peer):
    parallel = False

    def __init__(self, rows, settings):
        if not cuda.is_available():
            raise Unavailable("Numba finds no GPU")
        self.columns = rows.columns()

    def prepare(self, query):
        if query.filter:
            raise Unavailable("a kernel with one thread per row writes a result for each row")
        names = query.formula.columns
        text = query.formula.text(NUMBA_CUDA.with_columns("{}[i]".format))
        defined = {**vars(math), "cuda": cuda}
        exec(KERNEL.format(arguments=", ".join(names), formula=text), defined)
        self.kernel = cuda.jit(defined["kernel"])
        self.arguments = [self.columns[name] for name in names]

    def collect(self):
        columns = [cuda.to_device(column) for column in self.arguments]
        out = cuda.device_array(len(columns[0]), dtype=np.float64)
        self.kernel[-(-len(out) // THREADS), THREADS](*columns, out)
        return out.copy_to_host()

    def sum(self):
        return self.collect().sum()


MODES = {"numba-cuda": NumbaCuda}
