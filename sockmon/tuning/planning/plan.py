"""Make a plan: from wanted values and the context to a Proposal, or to the reason why it is refused."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

from sockmon.errors import Misuse, PlanRejected
from sockmon.model.plan import Plan, PlanWarning, Preview, Proposal, Setting, netns_prefix
from sockmon.tunables import TUNABLES, Tunable, cgroup_of, process_of, row_of
from sockmon.tunables.value import equal, parse, with_hard_limit
from sockmon.tuning.planning.cgroup_limits import cgroup_command
from sockmon.tuning.planning.context import PlanContext
from sockmon.tuning.planning.effects import effect_text, memory_cost, unaffected
from sockmon.tuning.planning.naming import find_setting
from sockmon.tuning.planning.reboot_note import note_for_step
from sockmon.tuning.planning.refusals import first_refusal
from sockmon.tuning.planning.step import Step, Values, write_order
from sockmon.tuning.planning.warnings import warnings_for

_MAX_SYSCTL_VALUE = 4000
"""Bytes of a value that sysctl(8) writes completely; of a longer list it writes a part, and reports success."""
ROLLBACK = (
    "`sockmon tune apply` rolls the change back automatically unless you keep it in time; `sockmon tune revert`"
    " does it at once"
)


def make_plan(wanted: Mapping[str, str], context: PlanContext) -> Proposal:
    """Return what must be written for the keys of `wanted` to have its values, and what that does.

    Raise Misuse for an unknown name or an invalid value, PlanRejected for a change that would fail or do harm."""
    if context.read_only_reason:
        raise PlanRejected(f"nothing can be changed here: {context.read_only_reason}")
    if not wanted:
        raise Misuse("no setting is given", "name what to change: KEY=VALUE")
    steps, already = [], []
    for key, (row, new) in _parse_wanted(wanted).items():
        old = _current_value(key, row, context)
        new = with_hard_limit(new, old) if row.kind == "limit" else new
        if equal(row, old, new):
            already.append(key)
        else:
            steps.append(Step(key, row, old, new))
    steps = list(write_order(steps))
    after = {**context.values, **{step.key: step.new for step in steps}}
    refusal = first_refusal(steps, after, context)
    if refusal is not None:
        raise refusal
    settings = tuple(_setting(step, context) for step in steps)
    return Proposal(
        plan=_plan(settings, context),
        previews=tuple(_previews(steps, after, context)),
        already=tuple(already),
        rollback=ROLLBACK if steps else "",
        commands=tuple(shell_command(step.key, step.new, context) for step in steps),
        rollback_commands=tuple(shell_command(step.key, step.old, context) for step in reversed(steps)),
    )


def _plan(settings: tuple[Setting, ...], context: PlanContext) -> Plan:
    """Return the plan for the namespace that has the sysctls: that of the context, or ours for those of the host.

    Raise PlanRejected if it has both: a change is made in one namespace."""
    if context.target is None:
        return Plan(settings, context.netns_inode, context.boot_id)
    sysctls = [each.key for each in settings if each.is_sysctl]
    of_host = [key for key in sysctls if row_of(key).scope != "netns"]
    if not of_host:
        target = context.target if sysctls else None
        return Plan(settings, context.netns_inode if target else context.own_netns, context.boot_id, target=target)
    if len(of_host) < len(sysctls):
        raise PlanRejected(
            f"{of_host[0]} has one value for the whole host, the others belong to {context.target.name}",
            "change them one after the other",
        )
    return Plan(settings, context.own_netns, context.boot_id)


def settable_sysctls() -> list[str]:
    """Return every sysctl that can be set, without aliases."""
    rows = (row for row in TUNABLES if row.settable and row.kind not in ("limit", "cgroup limit"))
    return [key for row in rows for key in row.keys if key not in row.aliases]


def keys_to_read(keys: Iterable[str]) -> list[str]:
    """Return `keys` and the related keys that a plan for them needs."""
    wanted = [_require_pid(*find_setting(key)) for key in keys]
    return list(dict.fromkeys([*wanted, *(other for key in wanted for other in row_of(key).related)]))


def shell_command(key: str, value: str, context: PlanContext) -> str:
    """Return the shell command that sets `key` in the namespace of the context."""
    netns_spec = context.netns_spec
    if limit := context.cgroups.get(key):
        return cgroup_command(value, limit)
    if pid := process_of(key):
        return f"prlimit --pid {pid} --{key.partition('@')[0]}={value}"
    if len(value) > _MAX_SYSCTL_VALUE:
        return f"# {key}: sysctl(8) would write only a part of its {len(value):,} characters; use sockmon"
    prefix = netns_prefix(netns_spec) if netns_spec and key.startswith("net.") else ""
    if not value:
        # The kernel ignores a write without a line feed.
        empty = f"echo > /proc/sys/{key.replace('.', '/')}"
        return f"{prefix}sh -c {shlex.quote(empty)}" if prefix else empty
    return f"{prefix}sysctl -w {key}={shlex.quote(value)}"


def _parse_wanted(wanted: Mapping[str, str]) -> dict[str, tuple[Tunable, str]]:
    """Return rows and canonical values by key; several names of one key are one entry."""
    chosen: dict[str, tuple[Tunable, str]] = {}
    for name, text in wanted.items():
        key, row = find_setting(name)
        _require_pid(key, row)
        if not row.settable:
            raise PlanRejected(f"{key} cannot be set: it is read-only", next(iter(row.misconceptions), ""))
        new = parse(row, text, key)
        if key in chosen and chosen[key][1] != new:
            raise Misuse(f"{key} is given twice, with different values")
        chosen[key] = (row, new)
    return chosen


def _require_pid(key: str, row: Tunable) -> str:
    """Return `key`; raise Misuse if it is a limit without a process or cgroup."""
    if row.kind == "cgroup limit" and not cgroup_of(key):
        raise Misuse(
            f"{key} is a limit of each cgroup", f"name the cgroup: {key}@/system.slice/X.service or {key}@PID"
        )
    if row.kind == "limit" and not process_of(key):
        raise Misuse(f"{key} is a limit of each process", f"name the process: {key}@PID")
    return key


def _current_value(key: str, row: Tunable, context: PlanContext) -> str:
    if key in context.refused:
        hint = ""
        if row.scope == "initial netns":
            hint = "the whole host has one value: change it in the initial network namespace"
        raise PlanRejected(f"{key} cannot be changed here: {context.refused[key]}", hint)
    if key not in context.values:
        raise PlanRejected(f"{key} cannot be changed here: its current value is not known")
    return context.values[key]


def _previews(steps: Sequence[Step], after: Values, context: PlanContext) -> Iterator[Preview]:
    given: set[PlanWarning] = set()
    planned = {step.key: step.new for step in steps}
    for step in steps:
        preview = _preview(step, after, context, given, note_for_step(step, planned, context))
        given.update(preview.warnings)
        yield preview


def _preview(
    step: Step, after: Values, context: PlanContext, given: Collection[PlanWarning], at_boot: tuple[str, ...]
) -> Preview:
    """Return the preview of a step without the warnings that were `given` before: related keys share some."""
    return Preview(
        setting=_setting(step, context),
        unit=step.row.unit,
        effect=effect_text(step, after, context),
        takes_effect=step.row.takes_effect,
        unaffected=unaffected(step, after, context),
        scope=step.row.scope_text,
        risk=step.row.risk,
        memory=memory_cost(step, context),
        warnings=tuple(each for each in warnings_for(step, after, context) if each not in given),
        at_boot=at_boot,
    )


def _setting(step: Step, context: PlanContext) -> Setting:
    name, start = step.key.partition("@")[0], context.start_times.get(step.key, 0)
    return Setting(name, step.old, step.new, process_of(step.key), start, cgroup_of(step.key))
