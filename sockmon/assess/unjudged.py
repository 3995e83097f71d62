"""What a report does not judge: network namespaces that are not sampled, tasks outside of a container, and what
other users hide."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from sockmon.format import plural
from sockmon.model.other_netns import HOST
from sockmon.model.snapshot import OTHER_NETNS, OUTER_TASKS, Missing, NetnsMember, OtherNetns, Snapshot


def unjudged(snapshot: Snapshot) -> tuple[Missing, ...]:
    """Return the entries for what a Snapshot has, but no limit of which was judged."""
    return (*other_netns(snapshot), *_outer_tasks(snapshot))


def count_outer_tasks(snapshot: Snapshot) -> int:
    """Return how many tasks of the host are outside of our pid namespace; 0 if it is the host's, or unknown."""
    if snapshot.tasks is None or snapshot.tasks.initial or snapshot.processes is None:
        return 0
    return max(snapshot.tasks.total - sum(row.threads for row in snapshot.processes.rows), 0)


def _outer_tasks(snapshot: Snapshot) -> tuple[Missing, ...]:
    if not (number := count_outer_tasks(snapshot)):
        return ()
    outside = f"{plural(number, 'task')} outside of this pid namespace"
    reason = f"{outside} {'is' if number == 1 else 'are'} not visible. To see the host's, run sockmon there"
    return (Missing(OUTER_TASKS, reason, unjudged=outside),)


def other_netns(snapshot: Snapshot) -> tuple[Missing, ...]:
    """Return the entry for the network namespaces that are not sampled; empty if there are none."""
    found = snapshot.other_netns
    if found is None or not found.total:
        return ()
    names = _count(found.total)
    were = "was" if found.total == 1 else "were"
    reason = f"{names} with {plural(found.processes, 'process')} {were} not sampled"
    if found.busiest:
        reason += f"; the busiest: {', '.join(map(_member, found.busiest))}"
        reason += f". To sample one: {command(found, snapshot.host.uid)}"
    reason += _limits_of_search(found)
    return (Missing(OTHER_NETNS, reason, unjudged=names),)


def command(found: OtherNetns, uid: int) -> str:
    """Return the command that samples the busiest namespace; users other than root may not enter it."""
    return f"{'sudo ' * (uid != 0)}sockmon check --netns {shlex.quote(netns_argument(found.busiest[0]))}"


def netns_argument(member: NetnsMember) -> str:
    """Return what `--netns` takes for this namespace."""
    return member.argument or str(member.pid)


def _limits_of_search(found: OtherNetns) -> str:
    limits = []
    if found.counted < found.total:
        limits.append(f"sockets were counted in {found.counted:,} of them")
    if found.unmatched:
        limits.append(f"{plural(found.unmatched, 'mounted namespace')} may be among them: only root can tell")
    limits += dict.fromkeys(each.called.reason for each in found.busiest if each.called and each.called.reason)
    return f" ({'; '.join(limits)})" if limits else ""


def unjudged_text(missing: Iterable[Missing]) -> str:
    """Return what is not judged, in a few words for a verdict; empty if nothing is left out."""
    return ", ".join(dict.fromkeys(entry.unjudged for entry in missing if entry.unjudged))


def _count(total: int) -> str:
    return plural(total, "other network namespace")


def _member(member: NetnsMember) -> str:
    sockets = "" if member.sockets is None else f" with {plural(member.sockets, 'socket')}"
    process = f"{member.name}[{member.pid}]" if member.pid else "no process"
    if member.called is None:
        return process + sockets
    kind = "" if member.called.kind == HOST else f"{member.called.kind} "
    return f"{kind}{member.called.name} ({process}){sockets}"
