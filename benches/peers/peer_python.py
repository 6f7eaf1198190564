"""Plain Python: a loop over lists of floats, over one twentieth of the rows."""

import platform
from math import log

from run import Peer

PACKAGES = []
NOTES = [f"Python {platform.python_version()}"]


class Python(Peer):
    parallel = False
    fraction = 20

    def __init__(self, rows, settings):
        count = settings["rows"] // self.fraction
        self.x, self.y, self.z = (column[:count].tolist() for column in rows.columns())

    def collect(self):
        return [log(x) * log(y) * log(z) for x, y, z in zip(self.x, self.y, self.z)]

    def sum(self):
        total = 0.0
        for x, y, z in zip(self.x, self.y, self.z):
            total += log(x) * log(y) * log(z)
        return total


MODES = {"python": Python}
