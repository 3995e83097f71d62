"""The matrix of processes and TCP states: dumped on request, as often as its share of a processor allows."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence

from sockmon.errors import ReadError
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.processes.socket_owners import Owners
from sockmon.kernel.processes.state_counts import OwnerIndex, StateCounts
from sockmon.model.process_states import ProcessStatesDetail, ProcessStatesQuery
from sockmon.model.snapshot import Missing

SHARE = 0.05
"""Part of a processor that the dumps may use while the matrix is shown."""


class StateMatrix:
    """Answers with the last counts until new ones may be made."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners
        self._last: ProcessStatesDetail | None = None
        self._next = float("-inf")

    def answer(
        self, query: ProcessStatesQuery, handles: Sequence[NetnsHandle]
    ) -> Incremental[ProcessStatesDetail]:
        """Return the sockets by process and state in `handles`; what could not be read is in `missing`."""
        last = self._last
        if last is not None and last.query == query and time.monotonic() < self._next:
            return last
        begin = time.process_time()
        self._last = found = yield from self._count(query, handles)
        # Work that others do between the steps counts too: the estimate errs towards fewer dumps.
        self._next = time.monotonic() + (time.process_time() - begin) / SHARE
        return found

    def _count(
        self, query: ProcessStatesQuery, handles: Sequence[NetnsHandle]
    ) -> Incremental[ProcessStatesDetail]:
        at = time.clock_gettime(time.CLOCK_BOOTTIME)
        if self._owners.at is None:
            missing = [Missing("owners", "the descriptors of processes have not been read yet")]
            return ProcessStatesDetail(at, query, (), {}, {}, {}, 0, tuple(missing))
        index = OwnerIndex()
        yield from index.fill(self._owners.held)
        counts, failed = StateCounts(index), Counter[str]()
        for handle in handles:
            try:
                yield from counts.dump(handle.query_socket)
            except ReadError as error:
                failed[error.message] += 1
        rows = tuple(counts.rows())
        of = f" of {len(handles)} network namespaces" if len(handles) > 1 else ""
        return ProcessStatesDetail(
            at=at,
            query=query,
            rows=rows,
            kernel=counts.kernel,
            unknown=counts.unknown(rows),
            total=counts.total,
            netns=len(handles) - failed.total(),
            missing=tuple(
                Missing("sockets", f"{number}{of}: {reason}" if of else reason)
                for reason, number in failed.items()
            ),
        )


def answer_states(
    matrix: StateMatrix, query: ProcessStatesQuery, handles: Sequence[NetnsHandle]
) -> Incremental[ProcessStatesDetail]:
    """Return the matrix of the network namespace of `query`, or of all `handles`."""
    wanted = [handle for handle in handles if query.netns in (0, handle.inode)]
    if not wanted:
        at = time.clock_gettime(time.CLOCK_BOOTTIME)
        reason = (Missing("sockets", "this network namespace is not watched"),)
        return ProcessStatesDetail(at, query, (), {}, {}, {}, 0, reason)
    return (yield from matrix.answer(query, wanted))
