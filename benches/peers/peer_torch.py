"""PyTorch: the formula compiled for a GPU, from host arrays to a host array, and with arrays and result in GPU memory."""

import torch

from run import Peer, Unavailable

PACKAGES = ["torch"]


def log3(x, y, z):
    return torch.log(x) * torch.log(y) * torch.log(z)


class Torch(Peer):
    parallel = False

    def __init__(self, rows, settings):
        if not torch.cuda.is_available():
            raise Unavailable("PyTorch finds no GPU")
        self.compiled = torch.compile(log3)
        self.columns = [torch.from_numpy(column) for column in rows.columns()]

    def compute(self):
        return self.compiled(*(column.to("cuda", non_blocking=True) for column in self.columns))

    def collect(self):
        return self.compute().cpu().numpy()

    def sum(self):
        return self.compute().sum().item()


class Resident(Torch):
    def __init__(self, rows, settings):
        super().__init__(rows, settings)
        self.columns = [column.to("cuda") for column in self.columns]

    def compute(self):
        return self.compiled(*self.columns)

    def collect(self):
        result = self.compute()
        torch.cuda.synchronize()
        return result

    def to_host(self, result):
        return result.cpu().numpy()


MODES = {"torch": Torch, "torch-resident": Resident}
