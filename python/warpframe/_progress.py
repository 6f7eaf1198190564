"""A progress bar on the standard error stream."""

from __future__ import annotations

import sys
import time

_WIDTH = 32
_INTERVAL = 0.1


class ProgressBar:
    """A bar with the number of rows, rows per second and the remaining time.

    It is drawn in terminals and notebooks, not in files and pipes.
    """

    def __init__(self) -> None:
        self._stream = sys.stderr if _shows_bars(sys.stderr) else None
        self._start = time.monotonic()
        self._drawn_at = 0.0
        self._length = 0

    def __call__(self, done: int, rows: int) -> None:
        """Draw the bar for `done` of `rows` rows."""
        now = time.monotonic()
        if self._stream is None or rows == 0 or now - self._drawn_at < _INTERVAL:
            return
        self._drawn_at = now
        self._write(line(done, rows, now - self._start))

    def clear(self) -> None:
        """Remove the bar."""
        if self._stream is not None and self._length:
            self._write("")

    def _write(self, text: str) -> None:
        # Blanks remove what a longer line has left.
        self._stream.write("\r" + text.ljust(self._length) + ("" if text else "\r"))  # type: ignore[union-attr]
        self._stream.flush()  # type: ignore[union-attr]
        self._length = len(text)


def line(done: int, rows: int, seconds: float) -> str:
    """Return the text of a bar.

    >>> line(5_000_000, 10_000_000, 2.0)
    '################................  50%  5,000,000 of 10,000,000 rows  2,500,000/s  2 s left'
    """
    part = min(done / rows, 1.0)
    filled = int(part * _WIDTH)
    bar = "#" * filled + "." * (_WIDTH - filled)
    speed = done / seconds if seconds > 0 else 0.0
    left = f"  {(rows - done) / speed:.0f} s left" if speed > 0 else ""
    return f"{bar} {part:>4.0%}  {done:,} of {rows:,} rows  {speed:,.0f}/s{left}"


def _shows_bars(stream: object) -> bool:
    if stream is None:
        return False
    if type(stream).__module__.startswith("ipykernel."):
        return True
    try:
        return stream.isatty()  # type: ignore[attr-defined]
    except (AttributeError, ValueError):
        return False
