"""Checks of arguments: a wrong one is an exception with one sentence that names it."""

from __future__ import annotations

import operator
import os

MAX_THREADS = 4096
"""The most threads that a session can ask for."""


def text(name: str, value: object) -> str:
    """Return a text that is not empty.

    Raises
    ------
    TypeError
        It is no text.
    ValueError
        It is empty.
    """
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {type(value).__name__}")
    if not value.strip():
        raise ValueError(f"{name} is empty")
    return value


def identifier(name: str, value: object) -> str:
    """Return a name that SQL needs no quotes for, but for capital letters.

    Raises
    ------
    TypeError
        It is no text.
    ValueError
        It has other characters than letters, digits and "_".
    """
    checked = text(name, value)
    if not (checked.isascii() and checked.isidentifier()):
        raise ValueError(f"{name} must consist of letters, digits and '_', not {checked!r}")
    return checked


def count(name: str, value: object, most: int = 2**63 - 1) -> int:
    """Return a whole number from 1 to `most`.

    Raises
    ------
    TypeError
        It is no whole number.
    ValueError
        It is out of range.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        number = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be a whole number, not {type(value).__name__}") from None
    if not 1 <= number <= most:
        raise ValueError(f"{name} must be from 1 to {most}, not {number}")
    return number


def memory_limit(value: object) -> str:
    """Return a memory limit as a text: that of a number of bytes, or a text, which the engine checks.

    Raises
    ------
    TypeError
        It is neither a whole number nor a text.
    ValueError
        The number is out of range, or the text is empty.
    """
    if isinstance(value, str):
        return text("memory_limit", value)
    return str(count("memory_limit", value))


def path(name: str, value: object) -> str:
    """Return the text of a path or URL; "~" is the user's folder.

    Raises
    ------
    TypeError
        It is neither a text nor a path object.
    ValueError
        It is empty, or has the character NUL.
    """
    try:
        fspath = os.fspath(value)  # type: ignore[arg-type]
    except TypeError:
        raise TypeError(f"{name} must be a str or a path, not {type(value).__name__}") from None
    if not isinstance(fspath, str):
        raise TypeError(f"{name} must be a str or a path, not {type(value).__name__}")
    if not fspath or "\0" in fspath:
        raise ValueError(f"{name} is no path: {fspath!r}")
    return os.path.expanduser(fspath)
