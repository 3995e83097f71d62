"""The lines of the page of addresses and rules: a heading and aligned rows for each kind."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from rich.text import Text

from sockmon import format
from sockmon.ceilings.neighbours import FAMILIES
from sockmon.model.nat_rules import NatRule, NatRules, NotrackRule, action_text, conditions_text
from sockmon.model.netns_rules import Address, IpvsService, Link, NeighbourCount, NetnsDetail, PolicyRule, Route
from sockmon.model.snapshot import Snapshot
from sockmon.ui.widgets.column import cut_middle

MAX_SHOWN = 200
"""Rules of NAT that are shown; the answer has more."""
_INDENT, _GAP = 2, 2
_MIN_WIDTH = 6
"""Cells that a column keeps on a narrow screen."""
_WIDE = 100
"""Cells from which on errors and drops have columns of their own."""
_WIDE_RULES = 140
"""Cells from which on NAT rules are a table."""
_UNUSABLE = frozenset({"deprecated", "tentative", "dadfailed"})


class Section(NamedTuple):
    """One kind of rows."""

    heading: Text
    rows: Sequence[Sequence[Text]]
    titles: Sequence[str] = ()
    """Headings of the columns; one with a `>` before it is aligned to the right."""
    none: str = ""
    """What is shown if there are no rows."""
    paragraphs: Sequence[Text] = ()
    """In place of rows: each may be wrapped."""


def sections(detail: NetnsDetail, tables: str, width: int, first: str = "") -> list[Section]:
    """Return everything of an answer, for `width` cells; `tables` is what `host_tables` returns, `first` is the
    kind that the page begins with: `nat`, else the links."""
    names = {link.index: link.name for link in detail.links}
    nat = list(_nat_sections(detail.nat, width)) if detail.nat else []
    rest = [
        *_links(detail, width),
        *_addresses(detail, names),
        *_routes(detail),
        *_policy_rules(detail),
        *_neighbours(detail, names, tables),
    ]
    return [*nat, *rest, *_ipvs(detail)] if first == "nat" else [*rest, *nat, *_ipvs(detail)]


def host_tables(snapshot: Snapshot) -> str:
    """Return the neighbour tables that all namespaces share: `arp_cache 12 / 1,024`; empty if not visible."""
    shown = []
    for table in snapshot.neighbours or ():
        limit = snapshot.sysctls.get(f"net.{FAMILIES.get(table.table, '')}.neigh.default.gc_thresh3", "")
        most = f" / {format.count(int(limit))}" if limit.isdecimal() else ""
        shown.append(f"{table.table} {format.count(table.entries)}{most}")
    return ", ".join(shown)


def lines(section: Section, width: int) -> Iterator[Text]:
    """Yield a section without its paragraphs as lines of at most `width` cells."""
    yield section.heading
    if section.paragraphs:
        return
    if not section.rows:
        yield Text(f"  {section.none or 'none'}", "muted")
        return
    right = [title.startswith(">") for title in section.titles]
    rows = [[Text(title.lstrip(">"), "column") for title in section.titles], *section.rows]
    widths = _fitted([max(row[index].cell_len for row in rows) for index in range(len(right))], width - _INDENT)
    for row in rows:
        line = Text(" " * _INDENT)
        for cell, room, to_the_right in zip(row, widths, right, strict=True):
            text = cut_middle(cell, room)
            padding = " " * (room - text.cell_len)
            line.append_text(Text.assemble(padding, text) if to_the_right else Text.assemble(text, padding))
            line.append(" " * _GAP)
        line.rstrip()
        yield line


def _fitted(widths: list[int], room: int) -> list[int]:
    """Return the widths of columns that fit into `room` with gaps: the widest become narrower first."""
    room -= _GAP * (len(widths) - 1)
    while sum(widths) > room and max(widths) > _MIN_WIDTH:
        widest = widths.index(max(widths))
        widths[widest] -= 1
    return widths


def _heading(name: str, shown: int, total: int | None, note: str = "") -> Text:
    """Return `Routes · 12`, `Routes · first 200 of 2,000`."""
    if total is None:
        count = format.UNKNOWN
    elif total > shown:
        count = f"{format.count(shown)} of {format.count(total)}"
    else:
        count = format.count(total)
    text = Text.assemble((name, "heading"), (f" · {count}", "muted"))
    return text.append(f" · {note}", "muted") if note else text


def _links(detail: NetnsDetail, width: int) -> Iterator[Section]:
    if detail.links_total is None:
        return
    lossy = sum(1 for link in detail.links if link.lost)
    note = f"{format.plural(lossy, 'has', 'have')} lost packets" if lossy else ""
    losses = (">RX ERR", ">RX DROP", ">TX ERR", ">TX DROP") if width >= _WIDE else (">RX LOST", ">TX LOST")
    more = (">QLEN", "KIND") if width >= _WIDE else ()
    titles = ("NAME", "STATE", ">MTU", "QUEUE", ">WAITING", *losses, *more)
    rows = [_link_row(link, width >= _WIDE) for link in detail.links]
    yield Section(_heading("Links", len(rows), detail.links_total, note), rows, titles)


def _link_row(link: Link, wide: bool) -> list[Text]:
    state = link.state if link.up else "off"
    waiting = Text("—", "faint")
    if link.waiting is not None:
        limit = f"/{format.short(link.limit)}" if link.limit else ""
        waiting = Text(f"{format.short(link.waiting)}{limit}{' B' if link.in_bytes else ''}")
    losses = (
        *(link.rx_errors, link.rx_dropped + link.rx_missed),
        *(link.tx_errors, link.tx_dropped + (link.queue_dropped or 0)),
    )
    return [
        Text(link.name, "strong" if link.up else "muted"),
        Text(state, "sev-warning" if link.up and state not in ("UP", "UNKNOWN") else "" if link.up else "muted"),
        Text(str(link.mtu)),
        Text(link.qdisc),
        waiting,
        *map(_loss, losses if wide else (losses[0] + losses[1], losses[2] + losses[3])),
        *((Text(str(link.queue_length)), Text(link.kind, "muted")) if wide else ()),
    ]


def _loss(count: int) -> Text:
    return Text(format.short(count), "sev-warning" if count else "faint")


def _addresses(detail: NetnsDetail, names: dict[int, str]) -> Iterator[Section]:
    if detail.addresses_total is not None:
        rows = [_address_row(row, names) for row in detail.addresses]
        heading = _heading("Addresses", len(rows), detail.addresses_total)
        yield Section(heading, rows, ("ADDRESS", "LINK", "SCOPE", "FLAGS"))


def _address_row(row: Address, names: dict[int, str]) -> list[Text]:
    unusable = bool(_UNUSABLE.intersection(row.flags))
    peer = f" peer {row.peer}" if row.peer else ""
    return [
        Text(row.address + peer, "muted" if unusable else "strong" if row.scope == "global" else ""),
        Text(names.get(row.link, f"#{row.link}")),
        Text(row.scope, "muted"),
        Text(", ".join(row.flags), "sev-warning" if unusable else "muted"),
    ]


def _routes(detail: NetnsDetail) -> Iterator[Section]:
    if detail.routes_total is not None:
        local = f"{format.count(detail.local_routes)} more in the table local" if detail.local_routes else ""
        rows = [_route_row(row) for row in detail.routes]
        heading = _heading("Routes", len(rows), detail.routes_total, local)
        yield Section(heading, rows, ("DESTINATION", "VIA", "LINK", "TABLE", ">METRIC", "SOURCE"))


def _route_row(row: Route) -> list[Text]:
    via = ", ".join(row.via[:2]) + (f" and {len(row.via) - 2} more" if len(row.via) > 2 else "")
    default = f"default (IPv{row.family})" if row.destination == "default" else row.destination
    return [
        Text(default, "strong" if row.destination == "default" else ""),
        Text(via if row.kind == "unicast" else row.kind, "" if row.kind == "unicast" else "sev-warning"),
        Text(row.device),
        Text(row.table, "muted" if row.table == "main" else "accent"),
        Text("" if row.metric is None else str(row.metric), "muted"),
        Text(row.source, "muted"),
    ]


def _policy_rules(detail: NetnsDetail) -> Iterator[Section]:
    if detail.rules_total is not None:
        rows = [_policy_row(row) for row in detail.rules]
        heading = _heading("Policy rules", len(rows), detail.rules_total)
        yield Section(heading, rows, (">PRIORITY", "IP", "ACTION", "SELECTOR"))


def _policy_row(row: PolicyRule) -> list[Text]:
    return [Text(str(row.priority)), Text(f"v{row.family}", "muted"), Text(row.action), Text(row.selector)]


def _neighbours(detail: NetnsDetail, names: dict[int, str], tables: str) -> Iterator[Section]:
    if detail.neighbours_total is not None:
        rows = [_neighbour_row(row, names) for row in detail.neighbours]
        heading = _heading("Neighbours", detail.neighbours_total, detail.neighbours_total)
        if tables:
            heading.append(f" · shared by all namespaces: {tables}", "muted")
        yield Section(heading, rows, ("LINK", "IP", ">ENTRIES", "STATES"))


def _neighbour_row(row: NeighbourCount, names: dict[int, str]) -> list[Text]:
    states = sorted(row.states.items(), key=lambda item: -item[1])
    failed = row.states.get("FAILED", 0) + row.states.get("INCOMPLETE", 0)
    total = sum(row.states.values())
    return [
        Text(names.get(row.link, f"#{row.link}")),
        Text(f"v{row.family}", "muted"),
        Text(format.count(total)),
        Text(
            " ".join(f"{name} {format.count(count)}" for name, count in states),
            "sev-warning" if 2 * failed > total and failed >= 8 else "",
        ),
    ]


def _nat_sections(rules: NatRules, width: int) -> Iterator[Section]:
    shown = rules.nat[:MAX_SHOWN]
    heading = _heading("NAT rules for source addresses", len(shown), rules.nat_total)
    for reason in rules.unread:
        heading.append(f" · {reason}", "sev-unknown")
    none = "not all rules could be read" if rules.unread else "no rule translates source addresses"
    yield _rule_section(heading, [(_nat_action(row), row) for row in shown], width, none)
    if rules.notrack_total:
        untracked = rules.notrack[:MAX_SHOWN]
        heading = _heading("Rules that leave packets untracked", len(untracked), rules.notrack_total)
        yield _rule_section(heading, [("notrack", row) for row in untracked], width, "")


def _nat_action(row: NatRule) -> str:
    return action_text(row) + (f" ({row.unread})" if row.unread else "")


def _rule_section(
    heading: Text, rules: Sequence[tuple[str, NatRule | NotrackRule]], width: int, none: str
) -> Section:
    """Return a table, or paragraphs on a screen that is too narrow for one."""
    cells = [_rule_cells(action, row) for action, row in rules]
    if width >= _WIDE_RULES or not cells:
        return Section(heading, cells, ("ACTION", "CONDITIONS", "CHAIN", ">PACKETS", "COMMENT"), none)
    dot = Text(" · ", "faint")
    units = ("", "", "", " packets", "")
    paragraphs = [
        Text("  ").append_text(
            dot.join(Text.assemble(cell, unit) for cell, unit in zip(row, units, strict=True) if cell.plain)
        )
        for row in cells
    ]
    return Section(heading, (), (), "", paragraphs)


def _rule_cells(action: str, row: NatRule | NotrackRule) -> list[Text]:
    maker = "" if row.maker == "nft" else f", {row.maker}"
    return [
        Text(action, "strong"),
        Text(conditions_text(row.conditions) or "all"),
        Text(f"{row.table} {row.chain}{maker}", "muted"),
        Text("" if row.packets is None else format.short(row.packets)),
        Text(row.comment, "muted"),
    ]


def _ipvs(detail: NetnsDetail) -> Iterator[Section]:
    if detail.ipvs_total:
        rows = [row for service in detail.ipvs for row in _service_rows(service)]
        heading = _heading("IPVS services", len(detail.ipvs), detail.ipvs_total)
        yield Section(heading, rows, ("SERVICE", "METHOD", ">WEIGHT", ">ACTIVE", ">INACTIVE"))


def _service_rows(service: IpvsService) -> Iterator[list[Text]]:
    name = Text(f"{service.protocol} {service.address}", "strong")
    yield [name, Text(service.scheduler, "muted"), Text(), Text(), Text()]
    for each in service.destinations:
        numbers = (each.weight, each.active, each.inactive)
        yield [Text(f"  → {each.address}"), Text(each.method), *(Text(format.count(one)) for one in numbers)]
    if service.destinations_total > len(service.destinations):
        more = service.destinations_total - len(service.destinations)
        yield [Text(f"  and {format.count(more)} more", "muted"), Text(), Text(), Text(), Text()]
