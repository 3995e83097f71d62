"""The encoding of the stream: a round trip, lines that are not a stream, hostile lines."""

from __future__ import annotations

import gzip
import io
import json
import os
import threading
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sockmon.errors import BadRecording
from sockmon.model.detail import GroupQuery, ListenerQuery, ProcessQuery, Request, SetCpuPercent, SetInterval
from sockmon.model.snapshot import Snapshot
from sockmon.sources.lines import MAX_LINE_BYTES, split_lines
from sockmon.sources.recording_damage import Damage
from sockmon.sources.replay import Replay
from sockmon.sources.wire import decode, decode_request, encode, hello, read_stream
from sockmon.text import sanitize
from tests.snapshots import process, snapshot


def test_a_snapshot_survives_the_wire() -> None:
    assert decode(encode(snapshot(1.5))) == snapshot(1.5)


@pytest.mark.parametrize(
    "request_",
    [
        ProcessQuery(1, 2),
        GroupQuery(3, "10.0.0.5", "10.0.0.9", 80),
        ListenerQuery(3, 71),
        SetInterval(2.0),
        SetCpuPercent(2.0),
    ],
)
def test_a_request_survives_the_wire(request_: Request) -> None:
    assert decode_request(encode(request_)) == request_


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"hello\n", "is not a sockmon recording"),
        (b"\x7fELF" + bytes(100), "is not a sockmon recording"),
        (gzip.compress(hello()), "is not a sockmon recording"),
        (b'{"type":"sockmon","schema":99,"version":"9"}\n' + encode(snapshot()), "schema 99"),
        (hello(), "has no samples"),
        (hello() + encode(snapshot())[:-40], "has no samples"),
        (hello() + b'{"type":"snapshot","at":NaN}\n', "has no samples"),
        (b"text\n" * 200, "is not a sockmon recording"),
    ],
    ids=["empty", "text", "binary", "gzip", "schema", "no-snapshot", "cut", "nan", "much-text"],
)
def test_a_file_without_a_sample_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    path = tmp_path / "incident.jsonl"
    path.write_bytes(content)
    with pytest.raises(BadRecording, match=words):
        list(Replay(str(path), pace=False).lines())


def lines_of(path: Path, content: bytes) -> tuple[list[float], Damage]:
    """The times of the Snapshots that are read of a recording, and its damage."""
    path.write_bytes(content)
    lines = list(Replay(str(path), pace=False).lines())
    damages = [line for line in lines if isinstance(line, Damage)]
    return [line.at for line in lines if isinstance(line, Snapshot)], damages[-1] if damages else Damage()


ONE, TWO = encode(snapshot(1.0)), encode(snapshot(2.0))
FOREIGN = b'{"type":"sockmon","schema":99,"version":"9"}\n'


@pytest.mark.fault("U5")
@pytest.mark.parametrize(
    ("content", "times", "words"),
    [
        (hello() + ONE + TWO[:-40] + b"\n" + TWO, [1.0, 2.0], "1 of 4 lines is damaged: line 3: "),
        (hello() + ONE + b"garbage\n" * 3 + TWO, [1.0, 2.0], "3 of 6 lines are damaged: first at line 3: "),
        (hello() + ONE + TWO[:-9], [1.0], "line 3 is incomplete: still being written, or cut off"),
        (hello() + ONE + b"\0" * 4096, [1.0], "line 3 is incomplete"),
        (hello() + b"[" * 100_000 + b"\n" + ONE, [1.0], "line 2: "),
        (hello() + b'{"x":' + b"[" * 100_000 + b"\n" + ONE, [1.0], "line 2: "),
        (hello() + b'{"type":"snapshot","at":NaN}\n' + ONE, [1.0], "line 2: "),
        (hello() + ONE.replace(b'"at":1.0', b'"at":1e400') + ONE, [1.0], "line 2: "),
        (hello() + ONE.replace(b'"at":1.0', b'"at":' + b"9" * 5000) + ONE, [1.0], "line 2: "),
        (hello() + b'{"x":"' + b"x" * MAX_LINE_BYTES + b'"}\n' + ONE, [1.0], "line 2: longer than 32 MiB"),
        (ONE + TWO, [1.0, 2.0], "line 1: no header line before it"),
        (hello()[:9] + b"\n" + ONE, [1.0], "first at line 1"),
        (hello() + ONE + FOREIGN + TWO + hello() + TWO, [1.0, 2.0], "2 of 6 lines are damaged: first at line 3: "),
        (hello() + ONE + hello() + TWO, [1.0, 2.0], ""),
        (hello() + b"\n\n" + ONE + b"  \n", [1.0], ""),
        (b"\xef\xbb\xbf" + hello() + ONE, [1.0], ""),
        (hello().replace(b"\n", b"\r\n") + b"\r\n" + ONE.replace(b"\n", b"\r\n"), [1.0], ""),
        (hello() + ONE[:-1], [1.0], ""),
    ],
    ids=[
        "torn-inside", "garbage", "torn-end", "zeros-end", "deep", "deep-inside", "nan", "infinite", "huge-number",
        "32-MiB-line", "no-header", "torn-header", "other-schema-inside", "concatenated", "blank",
        "byte-order-mark", "crlf", "no-newline",
    ],
)  # fmt: skip
def test_what_is_readable_is_read_and_the_rest_is_counted(
    tmp_path: Path, content: bytes, times: list[float], words: str
) -> None:
    found, damage = lines_of(tmp_path / "incident.jsonl", content)
    assert found == times
    assert words in damage.text()
    assert bool(damage.text()) == bool(words)


def test_a_directory_and_a_compressed_file_are_named(tmp_path: Path) -> None:
    with pytest.raises(BadRecording, match="is a directory"):
        Replay(str(tmp_path))
    (tmp_path / "a.gz").write_bytes(gzip.compress(hello() + ONE))
    with pytest.raises(BadRecording) as caught:
        list(Replay(str(tmp_path / "a.gz"), pace=False).lines())
    assert "gunzip" in caught.value.hint


def test_an_endless_file_is_given_up() -> None:
    with pytest.raises(BadRecording, match="is not a sockmon recording"):
        list(Replay("/dev/zero", pace=False).lines())


def test_a_pipe_without_a_writer_can_be_closed(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    replay = Replay(str(tmp_path / "pipe"))
    threading.Timer(0.1, replay.close).start()
    with pytest.raises(BadRecording, match="is empty"):
        list(replay.lines())


def test_a_file_that_is_not_there() -> None:
    with pytest.raises(BadRecording, match="No such file"):
        Replay("/nonexistent/incident.jsonl")


@pytest.mark.fault("U5")
@pytest.mark.parametrize(
    ("forge", "words"),
    [
        (lambda line: line.update(netns=[]), "without a network namespace"),
        (lambda line: line.update(wall=1e18), "time out of range"),
        (lambda line: line.update(wall=-5), "time out of range"),
        (lambda line: line["files"].update(allocated=10**309), "out of range"),
        (lambda line: line["netns"][0].update(counters={f"a{n}": n for n in range(20_000)}), "more than 10,000"),
        (lambda line: line["files"].update(maximum=2**70), "out of range"),
    ],
    ids=["no-netns", "far-future", "before-time", "no-number", "many-counters", "too-large"],
)
def test_a_forged_snapshot_is_refused(forge: Callable[[dict[str, Any]], None], words: str) -> None:
    line = json.loads(encode(snapshot()))
    forge(line)
    with pytest.raises(BadRecording, match=words):
        decode(json.dumps(line).encode())


@pytest.mark.fault("U5")
def test_a_name_of_ten_megabytes_is_cut() -> None:
    line = json.loads(encode(snapshot()))
    line["host"]["name"] = "x" * 10_000_000
    line["netns"][0]["sysctls"]["net.ipv4.ip_local_reserved_ports"] = "1," * 50_000
    read = decode(json.dumps(line).encode())
    assert isinstance(read, Snapshot)
    assert len(read.host.name) == 4096
    assert len(read.netns[0].sysctls["net.ipv4.ip_local_reserved_ports"]) == 100_000


HOSTILE = ["\x1b]52;c;x\x07", "a\nb", "\x9b2J", "\u202egpj", "\x00", "\u00ad", "\U000e0041"]


@pytest.mark.fault("U1", "U5")
@pytest.mark.parametrize("name", HOSTILE, ids=[f"{ord(name[-1]):x}" for name in HOSTILE])
def test_a_forged_recording_cannot_reach_the_terminal(name: str) -> None:
    forged = json.loads(encode(snapshot(0.0, process())))
    forged["processes"]["rows"][0]["name"] = name
    forged["netns"][0]["sysctls"] = {name: name}
    forged["netns"][0]["name"] = forged["host"]["name"] = name
    read = decode(json.dumps(forged).encode())
    assert isinstance(read, Snapshot)
    assert read.processes is not None
    texts = [read.host.name, read.netns[0].name, read.processes.rows[0].name, *read.netns[0].sysctls]
    texts += read.netns[0].sysctls.values()
    # `repr` would hide what is wrong with them.
    assert {sanitize(text) for text in texts} == set(texts)
    assert not any(character in text for text in texts for character in name if not character.isprintable())


@given(st.binary(max_size=300))
def test_garbage_is_a_bad_recording_and_nothing_else(garbage: bytes) -> None:
    with suppress(BadRecording):
        list(read_stream(io.BytesIO(hello() + garbage).read, "x"))


@pytest.mark.fault("U5")
@pytest.mark.parametrize(
    "value", ["[],", "{},", '"a",', f'"{"a" * 4090}",'], ids=["lists", "dicts", "texts", "long"]
)
def test_a_line_is_not_unpacked_before_its_types_are_known(value: str) -> None:
    """A line of 60 MB took 3 GB: each of its 20 million lists became an object."""
    filler = (value * (2_000_000 // len(value) * 2)).rstrip(",")
    line = encode(snapshot())[:-2] + f',"x":["\\u0001",{filler}]}}'.encode()
    tracemalloc.start()
    try:
        read = decode(line)
        assert tracemalloc.get_traced_memory()[1] < 4 * len(line)
    finally:
        tracemalloc.stop()
    assert read == snapshot()


@given(st.lists(st.binary(max_size=40)), st.integers(1, 50), st.integers(1, 20))
def test_lines_are_split_however_they_arrive(parts: list[bytes], size: int, limit: int) -> None:
    text = b"\n".join(parts)
    stream = io.BytesIO(text)
    raw = list(split_lines(lambda _: stream.read(size), limit))
    expected = [part if len(part) <= limit else None for part in text.split(b"\n")]
    if expected[-1] == b"":
        assert all(line.complete for line in raw)
        expected.pop()
    assert [line.text for line in raw] == expected
