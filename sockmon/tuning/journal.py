"""The write-ahead journal of one transaction: what was about to happen is on it before it happens.

A line a record, `CRC32 in hex, a space, JSON, line feed`, appended in one write and synchronised at once. A reader
believes nothing that does not check: a torn, flipped or foreign line is passed over.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from sockmon.errors import NotTuned
from sockmon.model.change import Entry, Plan, State, Who
from sockmon.tuning.places import open_ours

VERSION = 1
LONGEST = 8 << 20


class Begin(msgspec.Struct, frozen=True, tag="BEGIN", tag_field="record"):
    """Who changes what, and until when it is held."""

    id: str
    plan: Plan
    who: Who
    begun: float
    hold: float
    deadline: float
    version: int = VERSION


class Write(msgspec.Struct, frozen=True, tag="WRITE", tag_field="record"):
    """Setting number `n` of the plan is written next."""

    n: int
    key: str


class Wrote(msgspec.Struct, frozen=True, tag="WROTE", tag_field="record"):
    """It was written, and this is what the kernel made of it."""

    n: int
    readback: str


class Applied(msgspec.Struct, frozen=True, tag="APPLIED", tag_field="record"):
    """All of them were."""


class Extend(msgspec.Struct, frozen=True, tag="EXTEND", tag_field="record"):
    """It is held for longer."""

    deadline: float


class Keep(msgspec.Struct, frozen=True, tag="KEEP", tag_field="record"):
    """The commit point: from here on it only goes forward."""

    persist: bool = False
    """Also to be written to /etc/sysctl.d."""


class Filing(msgspec.Struct, frozen=True, tag="FILING", tag_field="record"):
    """Our file in /etc/sysctl.d is changed next, and this is what it said before and will say."""

    entries: tuple[Entry, ...]


class Filed(msgspec.Struct, frozen=True, tag="FILED", tag_field="record"):
    """It is as it shall be."""


class Back(msgspec.Struct, frozen=True, tag="BACK", tag_field="record"):
    """The values are put back from here on; the first record of whoever heals."""


class Restored(msgspec.Struct, frozen=True, tag="RESTORED", tag_field="record"):
    """Setting number `n` is what it was; what anybody makes of it afterwards is theirs."""

    n: int


class Done(msgspec.Struct, frozen=True, tag="DONE", tag_field="record"):
    """How it ended."""

    state: State
    words: tuple[str, ...] = ()


Record = Begin | Write | Wrote | Applied | Extend | Keep | Filing | Filed | Back | Restored | Done
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


@dataclass
class Story:
    """What a journal tells, as far as it can be believed."""

    begin: Begin | None = None
    written: set[int] = field(default_factory=set)
    readback: dict[int, str] = field(default_factory=dict)
    restored: set[int] = field(default_factory=set)
    deadline: float = 0.0
    kept: bool = False
    back: bool = False
    persist: bool = False
    entries: tuple[Entry, ...] = ()
    filed: bool = False
    done: Done | None = None
    stillborn: bool = False
    """Its writer died in its first line, before it touched anything."""
    damaged: bool = False
    """A line in its midst cannot be read. A torn last line is no damage: nothing follows an unwritten record."""

    def note(self, record: Record) -> None:
        """Go on telling; a number that is no setting of the plan, or a second BEGIN, counts for nothing."""
        match record:
            case Begin():
                self._open(record)
            case Write(n) | Wrote(n) | Restored(n):
                self._setting(n, record)
            case Extend(deadline):
                self.deadline = deadline
            case _:
                self._turn(record)

    def _open(self, begin: Begin) -> None:
        if self.begin is None:
            self.begin, self.deadline = begin, begin.deadline

    def _setting(self, n: int, record: Write | Wrote | Restored) -> None:
        if self.begin is None or not 0 <= n < len(self.begin.plan.settings):
            self.damaged = True
        elif isinstance(record, Restored):
            self.restored.add(n)
        else:
            self.written.add(n)
            self.readback.pop(n, None)
            if isinstance(record, Wrote):
                self.readback[n] = record.readback

    def _turn(self, record: Record) -> None:
        match record:
            case Keep(persist):
                # Whichever came first counts: a guard decides once.
                self.kept, self.persist = not self.back, persist
            case Back():
                self.back = True
            case Filing(entries):
                # A second one is of whoever healed the first, and has seen what that wrote.
                self.entries = self.entries or entries
            case Filed():
                self.filed = True
            case Done():
                self.done = record
            case _:
                pass


def encode(record: Record) -> bytes:
    """One line."""
    text = msgspec.json.encode(record)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def parse(raw: bytes) -> Story:
    """The story of a journal's bytes; what cannot be read is left out, and never raises."""
    story, torn = Story(stillborn=b"\n" not in raw), False
    for line in raw.split(b"\n"):
        record = _believed(line)
        if record is None:
            torn = torn or bool(line)
            continue
        # Whoever heals a torn journal begins with BACK; anything else behind a bad line was written before it.
        story.damaged = story.damaged or (torn and not isinstance(record, Back))
        torn = False
        story.note(record)
    return story


def _believed(line: bytes) -> Record | None:
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


class Journal:
    """An open journal and its story; every record is on it, synchronised, when `append` returns."""

    def __init__(self, name: str, directory: int, new: bool = False) -> None:
        """`name` in the directory behind the descriptor; NotTuned or OSError where it cannot be ours."""
        flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT | os.O_EXCL if new else 0)
        self.name = name
        self._directory = directory
        self._file = open_ours(name, flags, directory)
        # A line that the last writer tore must not swallow our first record.
        self._clean = new
        self.story = Story()
        try:
            if new:
                os.fsync(directory)
            else:
                self._reread()
        except BaseException:
            self.close()
            raise

    def _reread(self) -> None:
        size = os.fstat(self._file).st_size
        if size > LONGEST:
            raise NotTuned(f"{self.name} is no journal: {size} bytes")
        self.story = parse(os.pread(self._file, LONGEST, 0))

    def append(self, record: Record) -> None:
        """Write and synchronise one record; OSError where that failed, with nothing noted in the story."""
        line = encode(record) if self._clean else b"\n" + encode(record)
        self._clean = False
        if os.write(self._file, line) != len(line):
            raise OSError(28, "No space left on device")
        self._clean = True
        os.fsync(self._file)
        self.story.note(record)

    def try_append(self, record: Record) -> None:
        """The same for what may not wait for a full disk: putting values back comes before telling of it."""
        try:
            self.append(record)
        except OSError:
            self.story.note(record)

    def keep(self, persist: bool = False) -> bool:
        """Write the commit point; whether it is there. After a failure the file itself is asked, because whoever
        heals us will ask it too."""
        try:
            self.append(Keep(persist))
        except OSError:
            with suppress(OSError, NotTuned):
                self._reread()
        return self.story.kept

    def remove(self) -> None:
        """Take it away: what it told is in the history."""
        with suppress(OSError):
            os.unlink(self.name, dir_fd=self._directory)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
