"""CuPy: one fused kernel, from host arrays to a host array, and with arrays and result in GPU memory."""

import cupy

from run import Peer, Unavailable

PACKAGES = ["cupy"]


@cupy.fuse()
def log3(x, y, z):
    return cupy.log(x) * cupy.log(y) * cupy.log(z)


class CuPy(Peer):
    parallel = False

    def __init__(self, rows, settings):
        try:
            cupy.cuda.runtime.getDeviceCount()
        except cupy.cuda.runtime.CUDARuntimeError:
            raise Unavailable("CuPy finds no GPU") from None
        self.columns = rows.columns()

    def compute(self):
        return log3(*(cupy.asarray(column) for column in self.columns))

    def collect(self):
        return cupy.asnumpy(self.compute())

    def sum(self):
        return self.compute().sum().item()


class Resident(CuPy):
    def __init__(self, rows, settings):
        super().__init__(rows, settings)
        self.columns = [cupy.asarray(column) for column in self.columns]

    def collect(self):
        result = self.compute()
        cupy.cuda.get_current_stream().synchronize()
        return result

    def to_host(self, result):
        return cupy.asnumpy(result)


MODES = {"cupy": CuPy, "cupy-resident": Resident}
