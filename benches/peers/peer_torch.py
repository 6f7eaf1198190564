"""PyTorch: the formula compiled for a GPU, from arrays of the host to an array of the host."""

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


MODES = {"torch": Torch}
