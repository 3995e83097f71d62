"""The stream's encoding: what goes in comes out, what is not a stream is told, what is hostile is harmless."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockmon.errors import BadRecording
from sockmon.model.detail import GroupFocus, ListenerFocus, ProcessFocus, Request, SetInterval
from sockmon.model.snapshot import Snapshot
from sockmon.sources.replay import Replay
from sockmon.sources.wire import decode, decode_request, encode, hello, read_stream
from tests.snapshots import process, snapshot


def test_a_snapshot_survives_the_wire() -> None:
    assert decode(encode(snapshot(1.5))) == snapshot(1.5)


@pytest.mark.parametrize(
    "request_",
    [ProcessFocus(1, 2), GroupFocus(3, "10.0.0.5", "10.0.0.9", 80), ListenerFocus(3, 71), SetInterval(2.0)],
)
def test_a_request_survives_the_wire(request_: Request) -> None:
    assert decode_request(encode(request_)) == request_


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"hello\n", "is not a sockmon recording"),
        (b"\x7fELF" + bytes(100), "is not a sockmon recording"),
        (b'{"type":"sockmon","schema":99,"version":"9"}\n', "schema 99"),
        (encode(snapshot()), "lost its beginning"),
        (hello(), "holds no Snapshot"),
        (hello() + encode(snapshot())[:-40], "is cut"),
        (hello() + encode(snapshot()) + b'{"type":"snapshot"}\n', "line 3"),
        (hello() + b'{"type":"snapshot","at":NaN}\n', "line 2"),
        (hello() + b"[" * 100_000 + b"\n", "line 2"),
    ],
    ids=["empty", "text", "binary", "schema", "beheaded", "no-snapshot", "cut", "not-a-snapshot", "nan", "deep"],
)
def test_what_is_no_recording_is_told(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "incident.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadRecording, match=words):
        list(Replay(str(path), pace=False).lines())


def test_a_cut_recording_shows_what_it_has(tmp_path: Path) -> None:
    path = tmp_path / "cut.jsonl"
    path.write_bytes(hello() + encode(snapshot(1.0)) + encode(snapshot(2.0))[:-9])
    lines = Replay(str(path), pace=False).lines()
    assert next(lines) == snapshot(1.0)
    with pytest.raises(BadRecording, match="is cut"):
        next(lines)


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(BadRecording, match="No such file"):
        Replay("/nonexistent/incident.jsonl")


@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (lambda line: line.update(netns=[]), "without a network namespace"),
        (lambda line: line.update(wall=1e18), "no calendar"),
        (lambda line: line.update(wall=-5), "no calendar"),
        (lambda line: line["files"].update(allocated=10**309), "not a line"),
        (lambda line: line["files"].update(maximum=2**70), "not a line"),
    ],
    ids=["no-netns", "far-future", "before-time", "no-number", "too-large"],
)
def test_a_forged_snapshot_is_refused(forge: Callable[[dict[str, Any]], None], words: str) -> None:
    line = json.loads(encode(snapshot()))
    forge(line)
    with pytest.raises(BadRecording, match=words):
        decode(json.dumps(line).encode())


def test_a_name_of_ten_megabytes_is_cut() -> None:
    line = json.loads(encode(snapshot()))
    line["host"]["name"] = "x" * 10_000_000
    line["netns"][0]["sysctls"]["net.ipv4.ip_local_reserved_ports"] = "1," * 50_000
    read = decode(json.dumps(line).encode())
    assert isinstance(read, Snapshot)
    assert len(read.host.name) == 4096
    assert len(read.netns[0].sysctls["net.ipv4.ip_local_reserved_ports"]) == 100_000


HOSTILE = ["\x1b]52;c;x\x07", "a\nb", "\x9b2J", "\u202egpj", "\x00", "\u00ad", "\U000e0041"]


@pytest.mark.parametrize("name", HOSTILE, ids=[f"{ord(name[-1]):x}" for name in HOSTILE])
def test_a_forged_recording_cannot_reach_the_terminal(name: str) -> None:
    forged = json.loads(encode(snapshot(0.0, process())))
    forged["processes"]["rows"][0]["name"] = name
    forged["netns"][0]["sysctls"] = {name: name}
    read = decode(json.dumps(forged).encode())
    text = repr(msgspec.to_builtins(read))
    assert not any(character in text for character in name if not character.isalnum() and character not in "];")


@given(st.binary(max_size=300))
def test_garbage_is_a_bad_recording_and_nothing_else(garbage: bytes) -> None:
    with suppress(BadRecording):
        list(read_stream(io.BytesIO(hello() + garbage), "x"))
