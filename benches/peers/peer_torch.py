"""PyTorch: the formula compiled for a GPU, from host arrays to a host array, and with arrays and result in GPU memory. A
condition selects the values of the columns by a mask first."""

import torch

from formula import TORCH
from run import Peer, Unavailable

PACKAGES = ["torch"]


class Torch(Peer):
    parallel = False

    def __init__(self, rows, settings):
        if not torch.cuda.is_available():
            raise Unavailable("PyTorch finds no GPU")
        # The type of tensors that are made of constants only.
        torch.set_default_dtype(torch.float64)
        self.columns = {name: self.place(torch.from_numpy(column)) for name, column in rows.columns().items()}

    def place(self, column):
        return column

    def prepare(self, query):
        self.query = query
        self.formula = torch.compile(query.formula.function(TORCH, {"torch": torch}))
        self.condition = query.filter and torch.compile(query.filter.function(TORCH, {"torch": torch}))

    def compute(self):
        columns = {name: self.columns[name].to("cuda", non_blocking=True) for name in self.query.columns}
        values = [columns[name] for name in self.query.formula.columns]
        if self.condition:
            mask = self.condition(*(columns[name] for name in self.query.filter.columns))
            values = [column[mask] for column in values]
        return self.formula(*values)

    def collect(self):
        return self.compute().cpu().numpy()

    def sum(self):
        return self.compute().sum().item()


class Resident(Torch):
    def place(self, column):
        return column.to("cuda")

    def collect(self):
        result = self.compute()
        torch.cuda.synchronize()
        return result

    def to_host(self, result):
        return result.cpu().numpy()


MODES = {"torch": Torch, "torch-resident": Resident}
