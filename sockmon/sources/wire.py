"""The one encoding of the stream: a JSON object a line, the first one saying that this is one.

A recording is the stream in a file and may come from anywhere: its text is cleaned again, its size bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import IO, Any

import msgspec

from sockmon import __version__
from sockmon.errors import BadRecording
from sockmon.model.clean import clean
from sockmon.model.detail import GroupDetail, ListenerDetail, ProcessDetail, Request
from sockmon.model.snapshot import Snapshot

SCHEMA = 1
LONGEST_LINE = 64 << 20


class Hello(msgspec.Struct, frozen=True, tag="sockmon", tag_field="type"):
    """The first line of a stream."""

    schema: int
    version: str


Line = Hello | Snapshot | ProcessDetail | GroupDetail | ListenerDetail

_encode = msgspec.json.Encoder().encode
_decode_line: Callable[[bytes], Line] = msgspec.json.Decoder(Line).decode
_decode_request: Callable[[bytes], Request] = msgspec.json.Decoder(Request).decode
LONGEST_TEXT, LONGEST_SYSCTL = 4096, 1 << 19
LAST_WALL = 253402300800
"""The year 10000: clocks end there."""
_HUGE = re.compile(rf"[0-9]{{20}}|[0-9][eE]\+?[0-9]{{2}}|[^\"]{{{LONGEST_TEXT}}}")
_ESCAPE = re.compile(r"\\[^\"\\]")


def hello() -> bytes:
    """The line that a stream begins with."""
    return encode(Hello(SCHEMA, __version__))


def encode(line: Line | Request) -> bytes:
    """One line of the stream, its newline included."""
    return _encode(line) + b"\n"


def decode(line: bytes) -> Line:
    """A line as what it says, its text cleaned; BadRecording when it is not a line of the stream."""
    try:
        text = line.rstrip(b"\n").decode()
        if text.isprintable() and not _ESCAPE.search(text) and not _HUGE.search(text):
            return _sensible(_decode_line(line))
        # Our own agent writes clean text: this was forged, or has a code point that is newer than this Python.
        return _sensible(_checked(_cleaned(msgspec.json.decode(line))))
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise BadRecording(f"not a line of a sockmon stream: {clean(str(error))}") from error


def decode_request(line: bytes) -> Request:
    """A request from the other side; BadRecording when it is not one."""
    try:
        return _decode_request(line)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise BadRecording(f"not a request: {clean(str(error))}") from error


def _sensible(line: Line) -> Line:
    """`line`, if the rest of the program can rely on it."""
    if isinstance(line, Snapshot):
        if not line.netns:
            raise ValueError("a Snapshot without a network namespace")
        if not 0 <= line.wall < LAST_WALL:
            raise ValueError("a time that no calendar has")
    return line


def _checked(value: Any) -> Line:
    line: Line = msgspec.convert(value, Line)
    return line


def _cleaned(value: Any, longest: int = LONGEST_TEXT) -> Any:
    if isinstance(value, str):
        return clean(value, longest)
    if isinstance(value, (int, float)) and not -(2**63) <= value < 2**64:
        raise ValueError("a number that no kernel counts")
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    if isinstance(value, dict):
        # Of all values only a sysctl's can be long: a list of reserved ports has up to 190 kB.
        return {
            _cleaned(key): _cleaned(item, LONGEST_SYSCTL if "." in key else LONGEST_TEXT)
            for key, item in value.items()
        }
    return value


def read_stream(stream: IO[bytes], name: str) -> Iterator[Line]:
    """The lines of `stream` after its first; BadRecording, naming `name`, when it is empty, cut or not one."""
    first = stream.readline(LONGEST_LINE)
    if not first:
        raise BadRecording(f"{name} is empty", "record one with: sockmon record FILE")
    _check_hello(first, name)
    number = 1
    while line := stream.readline(LONGEST_LINE):
        number += 1
        if not line.endswith(b"\n"):
            raise BadRecording(f"{name} is cut: line {number} has no end", "what came before it was shown")
        try:
            yield decode(line)
        except BadRecording as error:
            raise BadRecording(f"{name}, line {number}: {error.message}") from error


def _check_hello(first: bytes, name: str) -> None:
    hint = "a recording is what `sockmon record` or `sockmon agent` wrote"
    try:
        line = decode(first)
    except BadRecording as error:
        raise BadRecording(f"{name} is not a sockmon recording", hint) from error
    if not isinstance(line, Hello):
        raise BadRecording(f"{name} has lost its beginning: its first line is a {type(line).__name__}", hint)
    if line.schema != SCHEMA:
        raise BadRecording(
            f"{name} has schema {line.schema}, this sockmon reads {SCHEMA}",
            f"it was made by sockmon {line.version}",
        )
