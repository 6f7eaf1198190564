"""NumPy: one operation at a time over whole columns."""

import numpy as np

from run import Peer

PACKAGES = ["numpy"]


class NumPy(Peer):
    parallel = False

    def __init__(self, rows, settings):
        self.x, self.y, self.z = rows.columns()

    def collect(self):
        return np.log(self.x) * np.log(self.y) * np.log(self.z)

    def sum(self):
        return self.collect().sum()


MODES = {"numpy": NumPy}
