"""TCP sockets by process and state, on request: the matrix of pane 2."""

from __future__ import annotations

import msgspec

from sockmon.model.missing import Missing


class ProcessStatesQuery(msgspec.Struct, frozen=True, tag="process-states", tag_field="focus"):
    """Ask how many TCP sockets each process has in which state, in one network namespace."""

    netns: int = 0
    """Inode of the namespace; 0: all that are sampled."""


class ProcessStates(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """The TCP sockets of one process."""

    pid: int
    start: int
    name: str
    states: dict[str, int]
    """Sockets by state; a state without any is absent."""
    estimated: bool = False
    """True if only a sample of its descriptors was read."""


class ProcessStatesDetail(msgspec.Struct, frozen=True, tag="process-states-detail", tag_field="type"):
    """Who has the TCP sockets in each state; `rows`, `kernel` and `unknown` together are `total`."""

    at: float
    """When the dump began; older than the answer if it is expensive."""
    query: ProcessStatesQuery = msgspec.field(name="focus")
    rows: tuple[ProcessStates, ...]
    """The processes with TCP sockets, the most first."""
    kernel: dict[str, int]
    """Sockets that no descriptor refers to: in TIME_WAIT, not accepted yet, or closed and not finished."""
    unknown: dict[str, int]
    """Sockets of processes that could not be read, or that were opened since the descriptors were."""
    total: dict[str, int]
    netns: int
    """Network namespaces that were read."""
    missing: tuple[Missing, ...]
