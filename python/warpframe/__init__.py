"""Numeric functions compiled for CPU vector units, GPUs and clusters.

- `function` compiles a Python function of numbers, and `evaluate` a SQL expression; both take NumPy arrays, Series of pandas
  and Polars, and Arrow arrays.
- `Session` runs SQL over files and dataframes, on this machine or on a cluster, with compiled functions.
- `compare` measures one formula in every execution mode, and with other tools.
"""

from . import _functions
from ._compare import Drawing, Report, compare
from ._evaluate import evaluate
from ._function import Function, function
from ._functions import *
from ._query import Batch, Query
from ._session import Session
from ._warpframe import WarpframeError, get_num_threads, release_memory, set_num_threads

__all__ = [
    "Batch",
    "Drawing",
    "Function",
    "Query",
    "Report",
    "Session",
    "WarpframeError",
    "compare",
    "evaluate",
    "function",
    "get_num_threads",
    "release_memory",
    "set_num_threads",
    *_functions.__all__,
]


def __getattr__(name):
    if name == "__version__":
        # Imported here because it takes longer than all other modules.
        from importlib.metadata import version

        return version("warpframe")
    raise AttributeError(f"module 'warpframe' has no attribute '{name}'")
