"""Delete flows of the connection table: which ones that would be, and deleting them one by one."""

from __future__ import annotations

import errno
import os
import struct
from collections import Counter
from collections.abc import Callable, Iterator

from sockmon import format
from sockmon.errors import Forbidden, TuningError
from sockmon.kernel.conntrack_delete import delete
from sockmon.kernel.conntrack_flows import find_flow, read_flows
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.netlink import run
from sockmon.model.acting import DELETE_WORD, MAX_TARGETS, SHOWN_ROWS, DeleteFlows, PreparedAction
from sockmon.model.conntrack_flows import Flow
from sockmon.text import sanitize
from sockmon.tuning.acting.namespace_sockets import open_to_act
from sockmon.tuning.acting.prepared import Outcome, Prepared, count_outcomes

NEEDS_ROOT = "deleting flows needs root (CAP_NET_ADMIN)"
NONE_MATCH = "no flow matches any more"
WHOLE_TABLE = "the whole table is not deleted: narrow the list first"
_COMMANDS = 3


def prepare(action: DeleteFlows, proc: int) -> Prepared:
    """Return which flows would be deleted; raise TuningError if there are none, or the namespace has ended."""
    with open_to_act(action.netns, "conntrack query", proc) as there:
        try:
            flows, left_out = _find(action, there.handle)
        except Forbidden:
            raise TuningError(NEEDS_ROOT) from None
    if not flows:
        raise TuningError(NONE_MATCH)
    kinds = Counter(f"{flow.protocol} {flow.state}".strip() for flow in flows)
    by_kind = sanitize(", ".join(f"{format.count(number)} {kind}" for kind, number in kinds.most_common(6)))
    target = format.plural(len(flows), "flow")
    shown = PreparedAction(
        action=action,
        title=f"Delete {target}",
        count=len(flows),
        rows=tuple(map(_line, flows[:SHOWN_ROWS])),
        facts=(by_kind, *([] if there.own else [f"in network namespace net:[{action.netns}]"])),
        effects=(
            "The next packet of such a connection makes a new flow, if the rules let it pass.",
            "Its counters start again; what it was translated to (NAT) is forgotten.",
        ),
        warnings=tuple(_warnings(flows)),
        left_out=tuple(left_out),
        commands=tuple(_commands(flows, there.entry)),
        word=DELETE_WORD,
    )
    return Prepared(shown, f"{target} ({by_kind})", action.netns, _deleter(flows, action.netns))


def _find(action: DeleteFlows, handle: NetnsHandle) -> tuple[list[Flow], list[str]]:
    """Return the flows as they are now, and what is left out."""
    if action.match == ():
        raise TuningError(WHOLE_TABLE)
    if action.match is not None:
        found = run(read_flows(handle, action.match, MAX_TARGETS))
        more = found.matched - len(found.flows)
        late = (
            [f"{format.count(more)} more match: at most {MAX_TARGETS:,} are deleted at once"] if more > 0 else []
        )
        return found.flows, late
    wanted = list(dict.fromkeys(action.flows))
    present = [flow for each in wanted if (flow := _now(handle, each, action.netns)) is not None]
    gone = len(wanted) - len(present)
    return present, [f"{format.plural(gone, 'flow')}: gone already"] if gone else []


def _now(handle: NetnsHandle, shown: Flow, netns: int) -> Flow | None:
    """Return a flow as it is now; None if it has ended, or if another one has its tuple."""
    if shown.netns != netns or shown.family not in (4, 6):
        raise TuningError("not a flow of this network namespace")
    try:
        found = find_flow(handle, shown)
    except (OSError, ValueError, struct.error):
        raise TuningError("not a flow: an address or a number is out of range") from None
    return found if found is None or shown.id in (None, found.id) else None


def _deleter(flows: list[Flow], netns: int) -> Callable[[int], Outcome]:
    def carry_out(proc: int) -> Outcome:
        with open_to_act(netns, "conntrack query", proc) as there:
            query = there.handle.conntrack_query
            return count_outcomes((delete(query, flow) for flow in flows), _reason, NEEDS_ROOT)

    return carry_out


def _reason(code: int) -> str:
    if code == errno.ENOENT:
        return "gone already, or a later flow has its addresses"
    if code == errno.EBUSY:
        return "in a flowtable, which has to end it (EBUSY)"
    return f"the kernel refuses: {os.strerror(code)}"


def _line(flow: Flow) -> str:
    tuple_ = flow.original
    kind = f"{flow.protocol} {flow.state}".strip()
    zone = f"  zone {flow.zone}" if flow.zone else ""
    source, destination = (
        _end(tuple_.source, tuple_.source_port),
        _end(tuple_.destination, tuple_.destination_port),
    )
    return sanitize(f"{kind:<15} {source} → {destination}{zone}")


def _end(address: str, port: int | None) -> str:
    if port is None:
        return address
    return f"[{address}]:{port}" if ":" in address else f"{address}:{port}"


def _warnings(flows: list[Flow]) -> Iterator[str]:
    translated = sum(flow.translated for flow in flows)
    if translated:
        yield (
            f"{format.count(translated)} are translated (NAT): a connection that goes on gets another address or"
            " port, and its peer resets it."
        )
    established = sum(flow.state == "ESTABLISHED" for flow in flows)
    if established:
        yield (
            f"{format.count(established)} are established: rules that let pass only what is known already may drop"
            " what comes next."
        )


def _commands(flows: list[Flow], entry: str) -> Iterator[str]:
    for flow in flows[:_COMMANDS]:
        found = flow.original
        parts = [f"-p {flow.protocol if ' ' not in flow.protocol else flow.number}"]
        parts += ["-f ipv6"] if flow.family == 6 else []
        parts += [f"-s {found.source}", f"-d {found.destination}"]
        parts += [f"--sport {found.source_port}"] if found.source_port is not None else []
        parts += [f"--dport {found.destination_port}"] if found.destination_port is not None else []
        parts += [f"-w {flow.zone}"] if flow.zone else []
        yield sanitize(f"{entry}conntrack -D {' '.join(parts)}", 400)
    if len(flows) > _COMMANDS:
        yield f"# and {len(flows) - _COMMANDS:,} more"
