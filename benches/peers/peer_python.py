"""Plain Python: a loop over lists of floats, over one twentieth of the rows."""

import math
import platform

from formula import PYTHON
from run import Peer

PACKAGES = []
NOTES = [f"Python {platform.python_version()}"]

COLLECT = """
def collect(columns):
    return [{formula} for {names} in zip(*columns) if {condition}]
"""

TOTAL = """
def total(columns):
    result = 0.0
    for {names} in zip(*columns):
        if {condition}:
            result += {formula}
    return result
"""


class Python(Peer):
    parallel = False
    fraction = 20

    def __init__(self, rows, settings):
        count = settings["rows"] // self.fraction
        self.columns = {name: column[:count].tolist() for name, column in rows.columns().items()}

    def prepare(self, query):
        defined = dict(vars(math))
        # Without a condition there is no `if`.
        collect, total = COLLECT, TOTAL
        if query.filter is None:
            collect = collect.replace(" if {condition}", "")
            total = total.replace("        if {condition}:\n            result", "        result")
        parts = {
            "names": "".join(f"{name}, " for name in query.columns),
            "formula": query.formula.text(PYTHON),
            "condition": query.filter and query.filter.text(PYTHON),
        }
        exec(collect.format(**parts) + total.format(**parts), defined)
        self._collect, self._total = defined["collect"], defined["total"]
        self.arguments = [self.columns[name] for name in query.columns]

    def collect(self):
        return self._collect(self.arguments)

    def sum(self):
        return self._total(self.arguments)


MODES = {"python": Python}
