"""The files of /proc/net/stat: names above hexadecimal values, a line for each processor."""

from __future__ import annotations

from collections.abc import Container

from sockmon.errors import ReadError
from sockmon.kernel.integers import parse_integer


def parse_columns(
    text: bytes, file: str, reader: str, wanted: Container[str] | None = None
) -> dict[str, list[int]]:
    """Return the values of each column by its name, or of those `wanted`; raise ReadError, also if a sum of them
    does not fit into 64 bits."""
    header, *rows = [line.split() for line in text.splitlines()] or [[]]
    if not header or not rows or any(len(row) != len(header) for row in rows):
        raise ReadError(reader, f"/proc/net/stat/{file} is not a table")
    names = [name.decode("ascii", "replace") for name in header]
    try:
        columns = {
            name: [parse_integer(value, 16) for value in column]
            for name, column in zip(names, zip(*rows, strict=True), strict=True)
            if wanted is None or name in wanted
        }
    except ValueError:
        raise ReadError(reader, f"/proc/net/stat/{file} has a value that is not hexadecimal") from None
    if any(sum(column) >= 1 << 64 for column in columns.values()):
        raise ReadError(reader, f"/proc/net/stat/{file} has a value of more than 64 bits")
    return columns
