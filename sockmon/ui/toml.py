"""TOML files that a person wrote: settings and themes."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path
from typing import Any

# Python 3.10 has no tomllib; tomli is the same thing under its first name.
_tomllib = import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
LARGEST = 1 << 20


def read(path: Path) -> dict[str, Any]:
    """The table of a file; OSError where it cannot be read, ValueError where it is not TOML."""
    if path.exists() and not path.is_file():
        raise ValueError("is not a regular file")
    if path.stat().st_size > LARGEST:
        raise ValueError(f"is larger than {LARGEST >> 20} MiB")
    try:
        table: dict[str, Any] = _tomllib.loads(path.read_text(encoding="utf-8"))
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    return table
