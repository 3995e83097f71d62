"""The descriptors of one process, one by one: number, kind, and what each refers to."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rich.text import Text
from textual.widget import Widget

from sockmon import format
from sockmon.assess import Assessment
from sockmon.ceilings.evidence import process_label
from sockmon.model.detail import DetailQuery
from sockmon.model.process_facts import Descriptor, DescriptorsDetail, DescriptorsQuery
from sockmon.ui.detail.polling_screen import PollingScreen
from sockmon.ui.detail.share_tables import ShareTable, share_rows
from sockmon.ui.detail.socket_table import state_text
from sockmon.ui.filtering.filter import ALL, Filterable, RowValues
from sockmon.ui.filtering.row_values import endpoint
from sockmon.ui.snapshot_lookup import find_process
from sockmon.ui.widgets.labelled_list import LabelledList
from sockmon.ui.widgets.table import Column, Table


def target_text(row: Descriptor) -> Text:
    """Return `10.0.0.5:443 → 10.0.0.9:5432` of a socket that was found, else the link as the kernel shows it."""
    if not row.protocol:
        return Text(row.target, "" if row.kind in ("file", "device") else "muted")
    if row.protocol == "unix":
        return Text.assemble(row.local or "(unnamed)", (f" peer {row.remote}" if row.remote else "", "muted"))
    local = Text(row.local)
    return local if row.remote.endswith(":0") else local.append(" → ", "faint").append(row.remote)


def _state(row: Descriptor) -> Text:
    return state_text(row.state) if row.protocol else Text(format.NOTHING, "faint")


def _kind(row: Descriptor) -> Text:
    return Text(row.protocol or row.kind)


def values(row: Descriptor) -> RowValues:
    """Return what a filter compares."""
    found: dict[str, Any] = {
        "text": (row.kind, row.target, row.local, row.remote),
        "kind": row.kind,
        "fd": row.number,
    }
    if row.protocol:
        (src, sport), (dst, dport) = endpoint(row.local), endpoint(row.remote)
        ports = (sport, dport)
        found |= {"proto": row.protocol, "state": row.state, "src": src, "dst": dst, "port": ports}
    return found


FILTERABLE = Filterable(dict.fromkeys(("kind", "fd", "proto", "state", "src", "dst", "port"), ALL), values)
COLUMNS: tuple[Column[Descriptor], ...] = (
    Column("FD", 7, lambda row: str(row.number), lambda row: row.number, "right", pin=True, largest_first=False),
    Column("KIND", 10, _kind, lambda row: row.protocol or row.kind),
    Column("STATE", 11, _state, lambda row: row.state or None, keep_when_narrow=False),
    Column("TARGET", 0, target_text, lambda row: row.local or row.target, cut="middle", pin=True),
)


class DescriptorsScreen(PollingScreen[DescriptorsQuery, DescriptorsDetail]):
    """The descriptors of one process, of all kinds or of one."""

    def parts(self) -> Iterable[Widget]:
        yield LabelledList(10, id="missing")
        yield ShareTable("KIND", 12, id="kinds")
        yield Table(
            COLUMNS, lambda row: row.number, id="descriptor-list", classes="panel rest", filterable=FILTERABLE
        )

    def on_mount(self) -> None:
        self.query_one("#kinds").border_title = "By kind"
        self.query_one("#missing").display = False
        self.main_table.focus()

    @property
    def main_table(self) -> Table[Any]:
        """The table of descriptors."""
        return self.query_one("#descriptor-list", Table)

    def draw(self, assessment: Assessment) -> None:
        detail = self.detail
        seen = find_process(assessment.snapshot, self.target.pid, self.target.start)
        there = (seen is not None or assessment.snapshot.processes is None) and not (detail and not detail.name)
        label = process_label(seen) if seen else f"{detail.name if detail else ''}[{self.target.pid}]"
        title = Text.assemble(("descriptors", "heading"), " · ", (label, "strong"))
        if self.target.kind:
            title.append(f" · {self.target.kind}")
        if ended := self.missing_since(there, assessment):
            title.append(f" · process ended {ended}", "sev-unknown")
        self.set_title(title, self.answer_age(assessment))
        self.draw_missing(*(detail.missing if detail else ()))
        self._draw_kinds()
        self._draw_list()

    def _draw_kinds(self) -> None:
        kinds = self.query_one("#kinds", ShareTable)
        kinds.display = not self.target.kind
        kinds.show(share_rows(self.detail.kinds) if self.detail else ())
        kinds.empty = self.empty_text("none")
        kinds.styles.height = min(max(len(kinds.rows), 1) + kinds.heading, 6) + 2

    def _draw_list(self) -> None:
        table, detail = self.main_table, self.detail
        rows = detail.descriptors if detail else ()
        total = detail.matching if detail else 0
        table.empty = self.empty_text(f"no {self.target.kind}" if self.target.kind else "none")
        table.border_title = f"Descriptors · {format.count(total)}" if total else "Descriptors"
        if total > len(rows):
            table.border_title = f"Descriptors · the first {format.count(len(rows))} of {format.count(total)}"
        table.show(rows)
        self.note_filter()

    def opens(self, table: Table[Any], row: Any) -> DetailQuery | str | None:
        """Open the list of one kind; return a message for a descriptor: all about it is in its row."""
        if isinstance(row, Descriptor):
            return f"{row.number}: {row.target}" + (f", {row.protocol} {row.state}" if row.protocol else "")
        return DescriptorsQuery(self.target.pid, self.target.start, row[0])

    def about_share(self, name: str) -> str | None:
        """Return nothing: every kind has a list."""
        return None
