"""CuPy: one fused kernel, from host arrays to a host array, and with arrays and result in GPU memory. A condition selects the
values of the columns by a mask first."""

import cupy

from formula import CUPY
from run import Peer, Unavailable

PACKAGES = ["cupy"]


class CuPy(Peer):
    parallel = False

    def __init__(self, rows, settings):
        try:
            cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError:
            raise Unavailable("CuPy finds no GPU") from None
        self.columns = {name: self.place(column) for name, column in rows.columns().items()}

    def place(self, column):
        return column

    def prepare(self, query):
        self.query = query
        self.formula = cupy.fuse(query.formula.function(CUPY, {"cupy": cupy}))
        self.condition = query.filter and cupy.fuse(query.filter.function(CUPY, {"cupy": cupy}))

    def compute(self):
        columns = {name: cupy.asarray(self.columns[name]) for name in self.query.columns}
        values = [columns[name] for name in self.query.formula.columns]
        if self.condition:
            mask = self.condition(*(columns[name] for name in self.query.filter.columns))
            values = [column[mask] for column in values]
        return self.formula(*values)

    def collect(self):
        return cupy.asnumpy(self.compute())

    def sum(self):
        return self.compute().sum().item()


class Resident(CuPy):
    def place(self, column):
        return cupy.asarray(column)

    def collect(self):
        result = self.compute()
        cupy.cuda.get_current_stream().synchronize()
        return result

    def to_host(self, result):
        return cupy.asnumpy(result)


MODES = {"cupy": CuPy, "cupy-resident": Resident}
