"""Objects ↔ JSON, as msgspec.json."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from ._convert import convert, to_builtins
from ._struct import DecodeError


def encode(value: Any) -> bytes:
    """Return a document without spaces; NaN and infinity are null."""
    text = json.dumps(to_builtins(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.encode()


def decode(document: bytes | str, *, type: Any = Any) -> Any:
    """Return the value of a document as `type`; raise DecodeError, of which ValidationError is one."""
    try:
        found = json.loads(document, parse_constant=_refused)
    except ValueError as error:
        raise DecodeError(f"JSON is malformed: {error}") from error
    return convert(found, type)


class Encoder:
    """Encodes any value."""

    def encode(self, value: Any) -> bytes:
        """Return a document."""
        return encode(value)


class Decoder:
    """Decodes documents of one type."""

    def __init__(self, type: Any = Any) -> None:
        self._type = type

    def decode(self, document: bytes | str) -> Any:
        """Return the value of a document; raise DecodeError."""
        return decode(document, type=self._type)


def _refused(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
