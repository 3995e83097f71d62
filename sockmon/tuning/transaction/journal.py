"""The write-ahead journal of one transaction: each record is on it before the step that it announces.

A record is a line, `CRC32 in hex, space, JSON, line feed`, appended in one write and synced at once. A line whose
checksum does not match is ignored: torn, changed or written by another program. KEEP is the commit point.
"""

from __future__ import annotations

import os
import zlib
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec

from sockmon.errors import TuningError
from sockmon.model.outcome import Outcome
from sockmon.model.plan import Plan
from sockmon.model.transaction import Actor, ForeignValue, State, SysctlFileEdit
from sockmon.tuning.transaction.state_dirs import open_private, write_whole

VERSION = 1
MAX_JOURNAL_BYTES = 8 << 20


class Begin(msgspec.Struct, frozen=True, tag="BEGIN", tag_field="record"):
    """Who changes what, and the deadline of the hold."""

    id: str
    plan: Plan
    actor: Actor = msgspec.field(name="who")
    begun: float
    hold: float
    deadline: float
    version: int = VERSION


class Write(msgspec.Struct, frozen=True, tag="WRITE", tag_field="record"):
    """Setting number `n` of the plan will be written next."""

    n: int
    key: str


class Wrote(msgspec.Struct, frozen=True, tag="WROTE", tag_field="record"):
    """The setting was written, and `readback` is what the kernel reports."""

    n: int
    readback: str


class Applied(msgspec.Struct, frozen=True, tag="APPLIED", tag_field="record"):
    """All settings were written."""


class Extend(msgspec.Struct, frozen=True, tag="EXTEND", tag_field="record"):
    """The hold has a new deadline."""

    deadline: float


class Observed(msgspec.Struct, frozen=True, tag="OBSERVED", tag_field="record"):
    """What has become of the reasons of the plan. It decides nothing: a recovery only copies it to the history."""

    outcomes: tuple[Outcome, ...]


class Keep(msgspec.Struct, frozen=True, tag="KEEP", tag_field="record"):
    """The commit point: from here on the change is never rolled back."""

    persist: bool = False
    """Write it to /etc/sysctl.d too."""
    not_kept: tuple[ForeignValue, ...] = ()
    """The settings that another process has changed since they were written: these are not persisted."""


class FileEditPlanned(msgspec.Struct, frozen=True, tag="FILING", tag_field="record"):
    """Our file in /etc/sysctl.d will be changed next: our lines in it before and after."""

    entries: tuple[SysctlFileEdit, ...]


class FileEditDone(msgspec.Struct, frozen=True, tag="FILED", tag_field="record"):
    """The file was changed."""


class RollbackStarted(msgspec.Struct, frozen=True, tag="BACK", tag_field="record"):
    """The rollback begins; the first record that a recovery writes."""


class Restored(msgspec.Struct, frozen=True, tag="RESTORED", tag_field="record"):
    """Setting number `n` has its old value again; a later change of it is another process's."""

    n: int


class Done(msgspec.Struct, frozen=True, tag="DONE", tag_field="record"):
    """The result."""

    state: State
    messages: tuple[str, ...] = msgspec.field(default=(), name="words")
    set_by_files: tuple[str, ...] = ()


Record = (
    Begin
    | Write
    | Wrote
    | Applied
    | Extend
    | Observed
    | Keep
    | FileEditPlanned
    | FileEditDone
    | RollbackStarted
    | Restored
    | Done
)
_decoder: msgspec.json.Decoder[Record] = msgspec.json.Decoder(Record)


@dataclass
class JournalState:
    """What the valid records of a journal say."""

    begin: Begin | None = None
    written: set[int] = field(default_factory=set)
    readback: dict[int, str] = field(default_factory=dict)
    restored: set[int] = field(default_factory=set)
    deadline: float = 0.0
    kept: bool = False
    rolling_back: bool = False
    persist: bool = False
    not_kept: tuple[ForeignValue, ...] = ()
    entries: tuple[SysctlFileEdit, ...] = ()
    outcomes: tuple[Outcome, ...] = ()
    file_edited: bool = False
    done: Done | None = None
    empty: bool = False
    """The guard died while it wrote the first record, before it touched anything."""
    damaged: bool = False
    """An invalid line with a record after it. A torn last line is not damage: the step after it never began."""

    def apply(self, record: Record) -> None:
        """Apply the next record; a second BEGIN is ignored, and an invalid setting number is damage."""
        match record:
            case Begin():
                self._apply_begin(record)
            case Write(n) | Wrote(n) | Restored(n):
                self._apply_setting(n, record)
            case Extend(deadline):
                self.deadline = deadline
            case Observed(outcomes):
                self.outcomes = outcomes
            case _:
                self._apply_decision(record)

    def _apply_begin(self, begin: Begin) -> None:
        if self.begin is None:
            self.begin, self.deadline = begin, begin.deadline

    def _apply_setting(self, n: int, record: Write | Wrote | Restored) -> None:
        if self.begin is None or not 0 <= n < len(self.begin.plan.settings):
            self.damaged = True
        elif isinstance(record, Restored):
            self.restored.add(n)
        else:
            self.written.add(n)
            self.readback.pop(n, None)
            if isinstance(record, Wrote):
                self.readback[n] = record.readback

    def _apply_decision(self, record: Record) -> None:
        match record:
            case Keep(persist, not_kept):
                # The first decision counts.
                self.kept, self.persist, self.not_kept = not self.rolling_back, persist, not_kept
            case RollbackStarted():
                self.rolling_back = True
            case FileEditPlanned(entries):
                # A second one is by a recovery, which has read what the first has already written.
                self.entries = self.entries or entries
            case FileEditDone():
                self.file_edited = True
            case Done():
                self.done = record
            case _:
                pass


def encode(record: Record) -> bytes:
    """Return a record as a line."""
    text = msgspec.json.encode(record)
    return b"%08x %s\n" % (zlib.crc32(text), text)


def parse(raw: bytes) -> JournalState:
    """Return what a journal's bytes record; ignore invalid lines, and never raise."""
    recorded, torn = JournalState(empty=b"\n" not in raw), False
    for line in raw.split(b"\n"):
        record = _decode_checked(line)
        if record is None:
            torn = torn or bool(line)
            continue
        # A recovery begins with BACK after a torn line; any other record there means that the line was damaged
        # later.
        recorded.damaged = recorded.damaged or (torn and not isinstance(record, RollbackStarted))
        torn = False
        recorded.apply(record)
    return recorded


def _decode_checked(line: bytes) -> Record | None:
    checksum, _, text = line.partition(b" ")
    if checksum != b"%08x" % zlib.crc32(text):
        return None
    try:
        return _decoder.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return None


class Journal:
    """An open journal and its state; when `append` returns, the record is synced."""

    def __init__(self, name: str, directory: int, new: bool = False) -> None:
        """Open or create `name` in a directory; raise TuningError if the file is not private, or OSError."""
        flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT | os.O_EXCL if new else 0)
        self.name = name
        self._directory = directory
        self._file = open_private(name, flags, directory)
        # The last writer may have left a torn line, which must not be joined with our first record.
        self._at_line_start = new
        self.state = JournalState()
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
        if size > MAX_JOURNAL_BYTES:
            raise TuningError(f"{self.name} has {size:,} bytes; a journal has at most {MAX_JOURNAL_BYTES:,}")
        self.state = parse(os.pread(self._file, MAX_JOURNAL_BYTES, 0))

    def append(self, record: Record) -> None:
        """Write and sync one record; on OSError the state is unchanged."""
        line = encode(record) if self._at_line_start else b"\n" + encode(record)
        self._at_line_start = False
        write_whole(self._file, line)
        self._at_line_start = True
        os.fsync(self._file)
        self.state.apply(record)

    def try_append(self, record: Record) -> None:
        """Do the same, but ignore a full disk: the rollback is more important than its record."""
        try:
            self.append(record)
        except OSError:
            self.state.apply(record)

    def keep(self, persist: bool = False, not_kept: tuple[ForeignValue, ...] = ()) -> bool:
        """Write the commit point; return whether it is written. After a failure the file decides, because a
        recovery would read it too."""
        try:
            self.append(Keep(persist, not_kept))
        except OSError:
            with suppress(OSError, TuningError):
                self._reread()
        return self.state.kept

    def remove(self) -> None:
        """Delete the file: the history has the transaction."""
        with suppress(OSError):
            os.unlink(self.name, dir_fd=self._directory)

    def close(self) -> None:
        """Close the file."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
