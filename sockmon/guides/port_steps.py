"""Steps that guides to the ports of one destination share: how much of them is TIME_WAIT, and what frees ports."""

from __future__ import annotations

from sockmon import format as fmt
from sockmon.ceilings.node_ports import RESERVED_PORTS
from sockmon.ceilings.port_remedies import RANGE
from sockmon.ceilings.ports import group_label
from sockmon.ceilings.time_wait_reuse import REUSE
from sockmon.guides.ends import DO_NOT_TUNE
from sockmon.guides.examples import KEEP_ALIVE
from sockmon.guides.facts import Facts
from sockmon.guides.findings import (
    advised_settings,
    advises,
    application_advice,
    contradicted,
    left_limit,
    only_buys_time,
    supported,
)
from sockmon.guides.guide import Act, Branch, Decide, Finding, Verify


def mostly_time_wait(facts: Facts) -> Finding:
    """Return whether most ports of the full group are in TIME_WAIT."""
    groups = facts.netns.ports.groups if facts.netns.ports else ()
    group = next((each for each in groups if facts.focus and group_label(each) == facts.focus[1]), None)
    if group is None or not facts.reading:
        return contradicted("no group of ports is in use any more")
    share = (
        f"{group.time_wait:,} of {group.used:,} ports are in TIME_WAIT ({fmt.ratio(group.time_wait / group.used)})"
    )
    if 2 * group.time_wait >= group.used:
        return supported(f"{share}: connections are closed and opened again", facts.reading)
    return contradicted(f"{share}: most connections stay open")


PORT_REMEDIES = (
    Decide(
        id="remedy",
        title="The remedy",
        question="What gives this destination free ports?",
        branches=(
            Branch(DO_NOT_TUNE, "fix the leak", only_buys_time),
            Branch("reuse", f"reuse ports in TIME_WAIT ({REUSE.removeprefix('net.ipv4.')})", advises(REUSE)),
            Branch("widen", f"more ports ({RANGE.removeprefix('net.ipv4.')})", advises(RANGE)),
        ),
        otherwise=DO_NOT_TUNE,
    ),
    Act(
        id="reuse",
        title="Reuse ports in TIME_WAIT",
        settings=advised_settings(REUSE),
        advice=application_advice,
        examples=KEEP_ALIVE,
        done="freed",
    ),
    Act(
        id="widen",
        title="Widen the range of local ports",
        settings=advised_settings(RANGE, RESERVED_PORTS),
        advice=application_advice,
        examples=KEEP_ALIVE,
        done="freed",
    ),
)
"""What gives a destination free ports; the acts lead to `FREED`."""
FREED = Verify(
    id="freed",
    title="Free ports",
    claim="the destination has free ports again",
    evidence=left_limit,
    hold=8,
    within=75,
)
