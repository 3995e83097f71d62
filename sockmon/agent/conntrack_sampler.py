"""Connection tracking of one network namespace: its count, a walk over the table, and the translated ports."""

from __future__ import annotations

from msgspec.structs import replace

from sockmon.agent.budget import Budget, BudgetedTask
from sockmon.agent.dump_needs import is_filling
from sockmon.agent.snat_ranges import SnatRanges
from sockmon.errors import ReadError
from sockmon.kernel import conntrack
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.snat import SnatGroups, read_groups
from sockmon.model.snapshot import Conntrack, Snat, SnatGroup

TABLE, SNAT = Budget(0.0015, 2.0), Budget(0.0015, 2.0)
FILLING_TABLE = Budget(0.01, 2.0)
"""For a table that is half full: who fills it belongs to the evidence of an alarm."""
MAX_TABLE_ENTRIES = 5_000_000
"""Size of a conntrack table up to which it is scanned: one scan takes 10 s of a processor."""


class ConntrackSampler:
    """Reads the connection tracking of the namespace `handle`."""

    def __init__(self, handle: NetnsHandle) -> None:
        self._handle = handle
        self.table = BudgetedTask("conntrack table", self._scan_table, TABLE)
        self.snat = BudgetedTask("snat", self._scan_snat, SNAT)
        self.nat_rules = SnatRanges(handle, lambda: self.snat.value)

    def read(self) -> Conntrack:
        """Return the count now; the table of our own namespace, or of the one that is shown, is read more often if
        it fills."""
        found = conntrack.read(self._handle)
        self.table.budget = FILLING_TABLE if is_filling(found) else TABLE
        return found

    def with_table(self, gauge: Conntrack) -> Conntrack:
        """Return `gauge` with what the last walk over the table has counted."""
        table = self.table.value
        if table is None:
            return gauge
        return replace(
            gauge, table_at=self.table.at, table=table.entries, unreplied=table.unreplied, tops=table.tops
        )

    def sample_snat(self) -> Snat | None:
        """Return the translated ports as of the last dump, with the ranges of their rules; None before it."""
        found = self.snat.value
        return (
            Snat(self.snat.at, self.groups(), found.groups_total)
            if found is not None and self.snat.at is not None
            else None
        )

    def groups(self) -> tuple[SnatGroup, ...]:
        """Return the groups of translated ports, with the ranges of their rules."""
        return self.nat_rules.with_ranges()

    def _scan_table(self) -> Incremental[conntrack.Table]:
        if not self._table_size("conntrack table") and self.table.value is not None:
            # Once it was permitted: the kernel would walk the buckets of the whole host.
            return conntrack.EMPTY
        return (yield from conntrack.read_table(self._handle))

    def _table_size(self, reader: str) -> int:
        """Return the number of conntrack entries; raise ReadError if it is too large for a scan."""
        count = conntrack.read(self._handle).count
        if count > MAX_TABLE_ENTRIES:
            raise ReadError(
                reader, f"the table has {count:,} entries, more than the {MAX_TABLE_ENTRIES:,} that are read"
            )
        return count

    def _scan_snat(self) -> Incremental[SnatGroups]:
        if not self._table_size("snat"):
            return SnatGroups((), 0)
        return (yield from read_groups(self._handle))
