"""Numeric functions compiled for CPU vector units, GPUs and clusters."""

from ._query import Batch, Query
from ._session import Session
from ._warpframe import WarpframeError

__all__ = ["Batch", "Query", "Session", "WarpframeError"]
