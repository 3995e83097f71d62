"""The one encoding of the stream: a JSON object on each line, of which the first is a header.

A recording is the stream in a file. It may come from an untrusted source, so its text is sanitized again and its
size is bounded."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from sockmon import __version__
from sockmon.errors import BadRecording
from sockmon.model.detail import Detail, Request
from sockmon.model.snapshot import Snapshot
from sockmon.sources.lines import MAX_LINE_BYTES, RawLine, split_lines
from sockmon.sources.recording_damage import Damage
from sockmon.sources.wire_netns import SnapshotLine, SnapshotReader
from sockmon.text import sanitize

SCHEMA = 1
MAX_FOREIGN_CHARS, MAX_QUOTED_CHARS = 200, 60
"""Of a line that is not ours, as a reason, and in a message."""
MAX_LEADING_LINES = 100
"""Foreign lines at the start after which the search for the first line of a sockmon stream ends."""


class Hello(msgspec.Struct, frozen=True, tag="sockmon", tag_field="type"):
    """The header, which is the first line of a stream."""

    schema: int
    version: str


Line = Hello | Snapshot | Detail

_encode = msgspec.json.Encoder().encode
_OnLine = Hello | SnapshotLine | Detail
_decode_line: Callable[[bytes], Line] = msgspec.json.Decoder(_OnLine).decode
_decode_request: Callable[[bytes], Request] = msgspec.json.Decoder(Request).decode
MAX_TEXT_CHARS, MAX_SYSCTL_CHARS = 4096, 1 << 19
MAX_NAMES = 10_000
"""Counters, or sysctls, of one namespace; kernels have about 600. A million would take minutes to assess."""
END_OF_CALENDAR = 253402300800
"""Seconds until the year 10000, which datetime cannot represent."""
_PRINTABLE_ASCII = bytes(range(0x20, 0x7F))
# Python finds a fixed text in a tenth of the time that an expression takes: each digit becomes a 0.
_AS_ZEROS = bytes.maketrans(b"123456789E", b"000000000e")
_LONG_INTEGER, _EXPONENT = b"0" * 20, b"0e00"
_LARGE_FLOAT = re.compile(rb"[\[:,\s]-?[0-9]+(?:\.[0-9]+)?[eE]\+?[0-9]{2}")
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_GZIP = b"\x1f\x8b"
_ESCAPE = re.compile(rb"\\[^\"\\]")


def hello() -> bytes:
    """Return the header line of a stream."""
    return encode(Hello(SCHEMA, __version__))


def encode(line: Line | Request) -> bytes:
    """Return one line of the stream, with its newline."""
    return _encode(line) + b"\n"


def decode(line: bytes) -> Line:
    """Return the object on a line that needs no other line, its text sanitized; raise BadRecording, with the
    reason, if the line is not valid."""
    found = _decode(line)
    return SnapshotReader().snapshot(found) if isinstance(found, SnapshotLine) else found


def _decode(line: bytes) -> Line:
    try:
        read = _validated(_decode_line(line))
        if _is_clean(line.strip()):
            return read
        # Our own agent writes clean text. So this line was forged, or has a code point that is newer than this
        # Python. Its types were checked before it is unpacked: 10 million nested lists would take 3 GB.
        return _converted(_sanitized(msgspec.to_builtins(read)))
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise BadRecording(sanitize(str(error))) from error


def _is_clean(line: bytes) -> bool:
    """Return whether sanitizing certainly changes nothing in the text and the numbers of a line that is valid."""
    if not line.translate(None, _PRINTABLE_ASCII).decode().isprintable() or _ESCAPE.search(line):
        return False
    zeros = line.translate(_AS_ZEROS, b"+")
    # The id of a container may look like a number with an exponent, but follows no separator.
    if _LONG_INTEGER in zeros or (_EXPONENT in zeros and _LARGE_FLOAT.search(line)):
        return False
    return not _has_long_text(line)


def _has_long_text(line: bytes) -> bool:
    """Return whether there may be a text of more than MAX_TEXT_CHARS between two quotes."""
    begin = 0
    while len(line) - begin > MAX_TEXT_CHARS:
        quote = line.rfind(b'"', begin, begin + MAX_TEXT_CHARS)
        if quote < 0:
            return True
        begin = quote + 1
    return False


def decode_request(line: bytes) -> Request:
    """Return the request on a line; raise BadRecording if it is not a valid one."""
    try:
        return _decode_request(line)
    except (msgspec.MsgspecError, RecursionError, ValueError) as error:
        raise BadRecording(f"not a request: {sanitize(str(error))}") from error


def _validated(line: Line) -> Line:
    """Return `line`; raise ValueError if its values are outside of what the rest of the program relies on."""
    if isinstance(line, Snapshot):
        if not line.netns:
            raise ValueError("a sample without a network namespace")
        if not 0 <= line.wall < END_OF_CALENDAR:
            raise ValueError("time out of range")
        changed = line.changed_netns if isinstance(line, SnapshotLine) else ()
        if any(
            max(len(values) for values in (each.counters or (), each.sysctls or ())) > MAX_NAMES
            for each in (*line.netns, *changed)
        ):
            raise ValueError(f"more than {MAX_NAMES:,} counters or sysctls")
    return line


def _converted(value: Any) -> Line:
    line: Line = msgspec.convert(value, _OnLine)
    return line


def _sanitized(value: Any, longest: int = MAX_TEXT_CHARS) -> Any:
    if isinstance(value, str):
        return sanitize(value, longest)
    if isinstance(value, (int, float)) and not -(2**63) <= value < 2**64:
        raise ValueError("number out of range")
    if isinstance(value, (list, tuple)):
        return [_sanitized(item) for item in value]
    if isinstance(value, dict):
        # Only the value of a sysctl can be long: a list of reserved ports has up to 190 kB.
        return {
            _sanitized(key): _sanitized(item, MAX_SYSCTL_CHARS if "." in str(key) else MAX_TEXT_CHARS)
            for key, item in value.items()
        }
    return value


def read_stream(read: Callable[[int], bytes], name: str, shell: str = "") -> Iterator[Line | Damage]:
    """Yield the lines of what `read(size)` returns, and after each line that cannot be used the Damage so far.

    `shell`: the command that shows what the shell of another host prints at a login. Such lines before the stream
    are skipped. Raises BadRecording, with `name` in its message, if no line can be used: the stream is empty, has
    another schema, or is not a sockmon stream."""
    stream = _Stream(name, shell)
    for raw in split_lines(read):
        yield from stream.take(raw)
    yield from stream.finish()


class _OtherSchema(BadRecording):
    """The header has another schema, so no line after it can be read."""


class _Stream:
    """The state of a stream while it is read."""

    def __init__(self, name: str, shell: str) -> None:
        self._name = name
        self._shell = shell
        self._damage = Damage()
        self._found = False
        """True once one line could be used."""
        self._snapshots = SnapshotReader()
        self._foreign = b""
        """The last line before any that could be used."""
        self._foreign_schema = False
        """True after the header of a second recording that has another schema."""

    def take(self, raw: RawLine) -> Iterator[Line | Damage]:
        """Yield the Line, the Damage or both that one line of the stream gives; nothing if it is blank."""
        number = self._damage.lines + 1
        self._damage = self._damage._replace(lines=number)
        text = raw.text.removeprefix(_BYTE_ORDER_MARK) if raw.text and number == 1 else raw.text
        if text is not None and not text.strip():
            return
        try:
            line = self._usable(text)
        except _OtherSchema:
            raise
        except BadRecording as error:
            if not self._found and (text is None or number >= MAX_LEADING_LINES or text[:2] == _GZIP):
                raise self._not_a_recording(text) from error
            self._foreign = text or b""
            if self._shell and not self._found:
                return
            cut = not raw.complete and text is not None
            self._damage = (
                self._damage._replace(incomplete=True) if cut else self._damage.plus(number, error.message)
            )
            yield self._damage
            return
        if not self._found and not isinstance(line, Hello):
            self._damage = self._damage.plus(number, "no header line before it")
            yield self._damage
        self._found = True
        yield self._snapshots.snapshot(line) if isinstance(line, SnapshotLine) else line

    def finish(self) -> Iterator[Damage]:
        """Yield the Damage of the whole stream; raise BadRecording if no line of it could be used."""
        if not self._damage.lines:
            if self._shell:
                raise BadRecording("it ended and printed nothing", f"log in and look at its shell: {self._shell}")
            raise BadRecording(f"{self._name} is empty", "record one with: sockmon record FILE")
        if not self._found:
            raise self._not_a_recording(self._foreign)
        if self._damage.text():
            yield self._damage

    def _usable(self, text: bytes | None) -> Line:
        if text is None:
            raise BadRecording(f"longer than {MAX_LINE_BYTES >> 20} MiB")
        line = _decode(text)
        if isinstance(line, Hello):
            self._foreign_schema = line.schema != SCHEMA
            if self._foreign_schema and not self._found:
                raise _OtherSchema(
                    f"{self._name} has schema {line.schema}, this sockmon reads {SCHEMA}",
                    f"it was written by sockmon {sanitize(line.version, 40)}",
                )
        if self._foreign_schema:
            raise BadRecording(f"it belongs to a recording with another schema; this sockmon reads {SCHEMA}")
        return line

    def _not_a_recording(self, text: bytes | None) -> BadRecording:
        """Return the error of a stream whose last line is `text`, None if that is too long."""
        error = self._foreign_stream(text)
        error.foreign = sanitize((text or b"").strip(), MAX_FOREIGN_CHARS)
        return error

    def _foreign_stream(self, text: bytes | None) -> BadRecording:
        if self._shell:
            last = sanitize((text or b"").strip(), MAX_QUOTED_CHARS)
            return BadRecording(
                f"{self._name} is no stream of sockmon" + (f": `{last}`" if last else ""),
                f"see what its shell prints: {self._shell} true",
            )
        hint = "a recording is written by `sockmon record` or `sockmon agent`"
        if text and text[:2] == _GZIP:
            hint = "the file is compressed; decompress it first, or use: gunzip -c FILE | sockmon --from -"
        return BadRecording(f"{self._name} is not a sockmon recording", hint)
