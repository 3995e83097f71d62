"""Delete flows of the connection table: which ones that would be, and deleting them one by one."""

from __future__ import annotations

import errno
import os
import socket
from collections import Counter
from collections.abc import Callable, Iterator

from sockmon import format
from sockmon.errors import Forbidden, TuningError
from sockmon.kernel.conntrack_delete import delete, exists
from sockmon.kernel.errnos import FORBIDDEN
from sockmon.model.acting import DELETE_WORD, SHOWN_ROWS, DeleteFlows, PreparedAction
from sockmon.model.conntrack_flows import Flow
from sockmon.text import sanitize
from sockmon.tuning.acting.namespace_sockets import socket_in
from sockmon.tuning.acting.prepared import Outcome, Prepared

NEEDS_ROOT = "deleting flows needs root (CAP_NET_ADMIN)"
NONE_MATCH = "no flow matches any more"
_COMMANDS = 3


def prepare(action: DeleteFlows, proc: int) -> Prepared:
    """Return which flows would be deleted; raise TuningError if there are none, or the namespace has ended."""
    with socket_in(action.netns, "conntrack", proc) as there:
        try:
            wanted = list(dict.fromkeys(action.flows))
            flows = [flow for flow in wanted if _exists(there.socket, flow, action.netns)]
        except Forbidden:
            raise TuningError(NEEDS_ROOT) from None
    gone = len(wanted) - len(flows)
    left_out = [f"{format.plural(gone, 'flow')}: gone already"] if gone else []
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


def _exists(netlink: socket.socket, flow: Flow, netns: int) -> bool:
    if flow.netns != netns:
        raise TuningError("not a flow of this network namespace")
    try:
        return exists(netlink, flow)
    except ValueError as error:
        raise TuningError(str(error)) from None


def _deleter(flows: list[Flow], netns: int) -> Callable[[int], Outcome]:
    def carry_out(proc: int) -> Outcome:
        outcome = Outcome()
        with socket_in(netns, "conntrack", proc) as there:
            for flow in flows:
                code = delete(there.socket, flow)
                if code in FORBIDDEN and not outcome.done:
                    raise TuningError(NEEDS_ROOT)
                if code:
                    outcome.not_done[_reason(code)] += 1
                else:
                    outcome.done += 1
        return outcome

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
