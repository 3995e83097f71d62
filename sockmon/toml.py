"""Reads TOML files: settings and themes."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

# Python 3.10 has no tomllib; tomli is the same module under its old name.
_tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
MAX_FILE_BYTES = 1 << 20
MAX_INTEGER = (1 << 63) - 1


def read(path: Path) -> dict[str, Any]:
    """Return the table of a file; raise OSError if it cannot be read, ValueError if it is not TOML."""
    if path.exists() and not path.is_file():
        raise ValueError("is not a regular file")
    if path.stat().st_size > MAX_FILE_BYTES:
        raise ValueError(f"is larger than {MAX_FILE_BYTES >> 20} MiB")
    try:
        table: dict[str, Any] = _tomllib.loads(path.read_text(encoding="utf-8"))
        fits = _fits(table)
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not fits:
        raise ValueError("has a number of more than 64 bits, which TOML does not know")
    return table


def _fits(value: object) -> bool:
    """Return whether every integer has at most 64 bits: a larger one has no float, and perhaps no decimal text."""
    if isinstance(value, dict):
        return all(map(_fits, value.values()))
    if isinstance(value, list):
        return all(map(_fits, value))
    return not isinstance(value, int) or -MAX_INTEGER <= value <= MAX_INTEGER
