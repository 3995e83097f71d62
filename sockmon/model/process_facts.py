"""What a process is, beyond its row of the table: read on request, for its page.

None means unknown; the reason is in the `missing` of the Detail, under the reader of the same name."""

from __future__ import annotations

import msgspec

from sockmon.model.missing import Missing
from sockmon.model.other_netns import NetnsName

EXECUTABLE, DIRECTORY, NAMESPACES = "executable", "directory", "namespaces"
IO, CPU, MEMORY, WCHAN = "I/O", "cpu", "memory", "wchan"
"""Readers of the facts, in `missing`."""
MAX_DESCRIPTOR_ROWS = 2_000
"""Descriptors that a DescriptorsDetail lists at most; `matching` counts all."""


class Relative(msgspec.Struct, frozen=True, gc=False):
    """A parent of the process; pid and start are its identity."""

    pid: int
    start: int
    name: str


class ProcessNamespace(msgspec.Struct, frozen=True, gc=False):
    """A namespace of the process: a link of /proc/PID/ns."""

    kind: str
    """net, mnt, pid, user, uts, ipc, cgroup or time."""
    inode: int
    shared: bool
    """Whether sockmon is in the same one."""


class ProcessFacts(msgspec.Struct, frozen=True):
    """What one process is, and what it has used since it started."""

    at: float
    """CLOCK_BOOTTIME seconds at which the counters were read."""
    state: str
    """R, S, D, T, t, Z, I or X of its first thread, as in /proc/PID/stat."""
    parents: tuple[Relative, ...]
    """The parent first, then its parent, up to process 1; shorter if one is not visible."""
    wchan: str | None = None
    """The kernel function in which its first thread waits; empty if it does not wait."""
    threads_by_state: dict[str, int] = {}
    """Threads by state; empty if there are more than are read."""
    executable: str | None = None
    """With ` (deleted)` if the file was removed or replaced."""
    directory: str | None = None
    namespaces: tuple[ProcessNamespace, ...] = ()
    user_seconds: float | None = None
    """Processor time in user mode, of all threads."""
    system_seconds: float | None = None
    resident: int | None = None
    """Resident memory in bytes, and of that what is shared with other processes or files."""
    shared: int | None = None
    virtual: int | None = None
    swapped: int | None = None
    """Bytes in swap: VmSwap."""
    peak: int | None = None
    """The most resident memory that it had, in bytes: VmHWM."""
    read_bytes: int | None = None
    """Bytes that it caused to be read from disks, and written to them."""
    written_bytes: int | None = None
    read_chars: int | None = None
    """Bytes that it asked to read, and to write, of files, pipes and sockets alike."""
    written_chars: int | None = None
    waits: int | None = None
    """Context switches because it waited, and because its time was up, of its first thread."""
    preemptions: int | None = None
    nice: int | None = None
    users: tuple[str, str] | None = None
    """Its real and effective user by name."""
    answers: bool = True
    """False if a read of its files does not return: the kernel holds a lock of it."""
    owner: NetnsName | None = None
    """The container, pod, machine or unit whose cgroup it is in; None if the cgroup shows none."""


class MemoryQuery(msgspec.Struct, frozen=True, tag="process-memory", tag_field="focus"):
    """Ask for the memory of one process as /proc/PID/smaps_rollup counts it, which walks all its pages."""

    pid: int
    start: int


class MemoryDetail(msgspec.Struct, frozen=True, tag="process-memory-detail", tag_field="type"):
    """Memory of one process in bytes."""

    at: float
    query: MemoryQuery = msgspec.field(name="focus")
    proportional: int | None
    """Pss: its own pages, and its part of those that it shares."""
    unique: int | None
    """Uss: what would be free if it ended."""
    missing: tuple[Missing, ...]


class DescriptorsQuery(msgspec.Struct, frozen=True, tag="descriptors", tag_field="focus"):
    """Ask for the descriptors of one process; of one kind, unless `kind` is empty."""

    pid: int
    start: int
    kind: str = ""


class Descriptor(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """One descriptor: a link of /proc/PID/fd."""

    number: int
    kind: str
    target: str
    """The link as the kernel shows it: a path, `pipe:[4711]`, `socket:[4711]`, `anon_inode:[eventfd]`."""
    protocol: str = ""
    """Of a socket that was found: tcp, udp, unix, raw; empty for other sockets, and for what is no socket."""
    state: str = ""
    local: str = ""
    remote: str = ""


class DescriptorsDetail(msgspec.Struct, frozen=True, tag="descriptors-detail", tag_field="type"):
    """The descriptors of one process, by number."""

    at: float
    query: DescriptorsQuery = msgspec.field(name="focus")
    descriptors: tuple[Descriptor, ...]
    matching: int
    """Descriptors of the kind, of which `descriptors` are the first."""
    total: int | None
    """All descriptors of the process; None if it has ended or may not be read."""
    kinds: dict[str, int]
    name: str
    """Its name; empty if it has ended."""
    missing: tuple[Missing, ...]
    seconds: float = 0.0
    """Processor time that the answer took."""
