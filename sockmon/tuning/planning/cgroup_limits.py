"""A plan for the limit of a cgroup: its effect in numbers, the reasons to refuse it, and its warnings."""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from sockmon import format as fmt
from sockmon.errors import PlanRejected
from sockmon.model.cgroup_limit import CgroupLimit
from sockmon.model.plan import PlanWarning
from sockmon.tunables.value import NO_LIMIT, parse_cgroup_limit
from sockmon.tuning.planning.context import PlanContext
from sockmon.tuning.planning.step import Step

_V1_MEMORY = "memory.limit_in_bytes"
ANCESTORS_HIDDEN = (
    "limits of the cgroups above are not visible in a container, and apply too: look for them on the host"
)


def cgroup_effect(step: Step, context: PlanContext) -> str:
    """`100 → 200 tasks; it has 96 now, so 104 more fit`."""
    limit, new = context.cgroups.get(step.key), parse_cgroup_limit(step.new)
    used = limit.used if limit else None
    values = " → ".join(_amount(step, parse_cgroup_limit(text)) for text in (step.old, step.new))
    unit = f" {step.row.unit}" if step.row.unit == "tasks" else ""
    has = "" if used is None else f"; it has {_amount(step, used)} now"
    room = "" if used is None or new is None else f", so {_amount(step, max(new - used, 0))} more fit"
    return f"{values}{unit}{has}{room}"


def cgroup_refusals(step: Step, context: PlanContext) -> Iterator[PlanRejected]:
    """Yield why the cgroup could not go on with the limit."""
    limit = context.cgroups.get(step.key)
    new = parse_cgroup_limit(step.new) if step.row.kind == "cgroup limit" else None
    if limit is None or limit.used is None or new is None or new >= limit.used:
        return
    what = {
        "pids.max": "each fork() inside would fail immediately",
        "memory.max": "the kernel would reclaim the rest, and kill a process inside if that is not enough",
        "memory.high": "every process inside would be slowed down until the rest is reclaimed",
    }[step.row.key]
    yield PlanRejected(
        f"{step.key}: {_amount(step, new)} is less than the {_amount(step, limit.used)} in use now: {what}",
        f"now the limit is {step.old}",
    )


def cgroup_warnings(step: Step, context: PlanContext) -> Iterator[PlanWarning]:
    """Yield the warnings about a change of the limit of a cgroup."""
    limit = context.cgroups.get(step.key)
    if limit is None:
        return
    new = parse_cgroup_limit(step.new)
    yield from _ancestor_warnings(step, limit, new)
    if step.row.key == "memory.high" and limit.maximum is not None and (new is None or new >= limit.maximum):
        yield PlanWarning(
            f"memory.max of this cgroup is {fmt.size(limit.maximum)}, and is reached first: nothing is throttled"
        )
    if step.row.key == "memory.max" and not step.lowers:
        yield PlanWarning(
            "if the cgroup uses more than the old limit when this is rolled back, the kernel reclaims memory, and"
            " kills a process inside if that is not enough"
            + (" (v1 refuses the rollback instead)" if limit.file.endswith(_V1_MEMORY) else "")
        )
    if step.row.unit == "bytes" and context.memory and new is not None and new > context.memory:
        yield PlanWarning(f"this machine has only {fmt.size(context.memory)} of memory")


def _ancestor_warnings(step: Step, limit: CgroupLimit, new: int | None) -> Iterator[PlanWarning]:
    lower = limit.lower_ancestor(new)
    old = parse_cgroup_limit(step.old)
    if lower is not None and not step.lowers:
        helps = "raising this one does not help" if old is not None and lower.limit <= old else "it binds first"
        yield PlanWarning(
            f"the cgroup above it, {lower.path}, has {step.row.key} = {_amount(step, lower.limit)}: {helps};"
            f" to raise that one: {step.row.key}@{lower.path}"
        )
    if limit.hidden:
        yield PlanWarning(ANCESTORS_HIDDEN)


def cgroup_command(value: str, limit: CgroupLimit) -> str:
    """Return the shell command that sets the limit; v1 takes -1 for no limit of memory."""
    text = "-1" if value == NO_LIMIT and limit.file.endswith(_V1_MEMORY) else value
    return f"echo {text} > {shlex.quote(limit.file)}"


def _amount(step: Step, number: int | None) -> str:
    if number is None:
        return "no limit"
    return fmt.size(number) if step.row.unit == "bytes" else f"{number:,}"
