"""Numba's CUDA target, as in the demo: a kernel with one thread per row, from host arrays to a host array."""

from math import log

import numpy as np
from numba import cuda

from run import Peer, Unavailable

PACKAGES = ["numba"]

THREADS = 256


@cuda.jit
def log3(x, y, z, out):
    i = cuda.grid(1)
    if i < out.size:
        out[i] = log(x[i]) * log(y[i]) * log(z[i])


class NumbaCuda(Peer):
    parallel = False

    def __init__(self, rows, settings):
        if not cuda.is_available():
            raise Unavailable("Numba finds no GPU")
        self.columns = rows.columns()

    def collect(self):
        columns = [cuda.to_device(column) for column in self.columns]
        out = cuda.device_array(len(self.columns[0]), dtype=np.float64)
        log3[-(-len(out) // THREADS), THREADS](*columns, out)
        return out.copy_to_host()

    def sum(self):
        return self.collect().sum()


MODES = {"numba-cuda": NumbaCuda}
