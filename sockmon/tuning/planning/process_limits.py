"""A plan for a limit of a live process: its effect in numbers, the reasons to refuse it, and its warnings."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon import format as fmt
from sockmon.ceilings.evidence import process_label
from sockmon.errors import PlanRejected
from sockmon.model.plan import PlanWarning
from sockmon.model.snapshot import Process
from sockmon.tunables import process_of
from sockmon.tunables.value import RLIM_INFINITY, UNLIMITED, parse_limits, parse_numbers
from sockmon.tuning.planning.context import PlanContext
from sockmon.tuning.planning.step import NR_OPEN, Step, Values


def limit_effect(step: Step, context: PlanContext) -> str:
    """`soft 1,024 → 8,192, hard 4,096 → 8,192 descriptors; nginx[1044] has 100, so 8,092 more fit`."""
    (soft, hard), (new_soft, new_hard) = _old_and_new(step)
    pairs = (("soft", soft, new_soft), ("hard", hard, new_hard))
    texts = (
        f"{name} {_format_limit(old)}" + (f" → {_format_limit(new)}" if new != old else "")
        for name, old, new in pairs
    )
    used = in_use(step, context)
    unit = step.row.unit.partition(":")[0]
    left = _format_limit(new_soft, used or 0)
    room = "" if new_soft == RLIM_INFINITY else f", so {left} more fit{'s' if left == '1' else ''}"
    has = "" if used is None else f"; {_subject(step, context)} has {used:,}{room}"
    return f"{', '.join(texts)} {unit}{has}"


def in_use(step: Step, context: PlanContext) -> int | None:
    """Return what counts against the soft limit now; None if that is not known, or if the limit does not apply."""
    process = context.process(step.key)
    if process is None or (step.row.key == "nproc" and process.exempt):
        return None
    if step.row.key == "nofile":
        return process.fds
    return sum(row.threads for row in _same_user(process, context))


def limit_refusals(step: Step, after: Values, context: PlanContext) -> Iterator[PlanRejected]:
    """Yield why the kernel would refuse the limit or its rollback, or why the process could not go on with it."""
    if step.row.kind != "limit":
        return
    (_, hard), (soft, new_hard) = _old_and_new(step)
    now, highest = (_nr_open(step, values) for values in (context.values, after))
    if highest is not None and new_hard > highest:
        yield PlanRejected(
            f"{step.key}: the hard limit {_format_limit(new_hard)} is more than fs.nr_open = {highest:,}: the"
            " kernel would refuse it with EPERM",
            f"plan {NR_OPEN}={new_hard} too" if new_hard <= step.row.maximum else "",
        )
    if now is not None and highest is not None and hard > max(now, highest):
        yield PlanRejected(
            f"{step.key}: its hard limit {_format_limit(hard)} is more than fs.nr_open = {highest:,}: the kernel"
            " would refuse the rollback",
            f"plan {NR_OPEN}={hard} too" if hard <= step.row.maximum else "",
        )
    used = in_use(step, context)
    if step.lowers and used is not None and soft < used:
        unit = step.row.unit.partition(":")[0]
        yield PlanRejected(
            f"{step.key}: a soft limit of {soft:,} is less than the {used:,} {unit} that"
            f" {_subject(step, context)} has now: each new one would fail immediately",
            f"now it is {step.old}",
        )


def limit_warnings(step: Step, after: Values, context: PlanContext) -> Iterator[PlanWarning]:
    """Yield the warnings about a change of a limit."""
    if step.row.kind != "limit":
        return
    (_, hard), (soft, new_hard) = _old_and_new(step)
    process = context.process(step.key)
    if new_hard < hard:
        yield PlanWarning(
            "only a process with CAP_SYS_RESOURCE can raise a hard limit again, and this one seldom has it"
        )
    if new_hard > hard:
        yield PlanWarning("raising a hard limit needs CAP_SYS_RESOURCE, which root in a container seldom has")
    if process is None:
        yield PlanWarning("it is not known how much of the limit is in use: the process is not visible")
        return
    others = [row for row in _same_name(process, context) if row.pid != process.pid]
    if others:
        keys = fmt.first_names([f"{step.row.key}@{row.pid}" for row in others])
        yield PlanWarning(f"other processes called {process.name} have limits of their own: {keys}")
    yield from (_file_warnings if step.row.key == "nofile" else _task_warnings)(process, soft, after, context)


def _file_warnings(process: Process, soft: int, after: Values, context: PlanContext) -> Iterator[PlanWarning]:
    files = context.snapshot.files if context.snapshot else None
    if files and soft - (process.fds or 0) > files.maximum - files.allocated:
        room = fmt.plural(max(files.maximum - files.allocated, 0), "more file")
        yield PlanWarning(f"the whole host has room for only {room}: fs.file-max = {files.maximum:,}")


def _task_warnings(process: Process, soft: int, after: Values, context: PlanContext) -> Iterator[PlanWarning]:
    if process.exempt:
        yield PlanWarning(
            "RLIMIT_NPROC does not apply to the process now: it runs as root, or has CAP_SYS_RESOURCE or"
            " CAP_SYS_ADMIN"
        )
    ids = parse_numbers(after.get("kernel.pid_max", ""))
    if ids and soft > ids[0]:
        yield PlanWarning(f"kernel.pid_max = {ids[0]:,} is lower, and is reached first")


def _nr_open(step: Step, values: Values) -> int | None:
    """Return the highest hard limit of descriptors; None for another limit, or if it is not known."""
    found = parse_numbers(values.get(NR_OPEN, "")) if step.row.key == "nofile" else []
    return found[0] if found else None


def _old_and_new(step: Step) -> tuple[tuple[int, int], tuple[int, int]]:
    """Return the soft and the hard limit, before and after."""
    return parse_limits(step.old) or (0, 0), parse_limits(step.new) or (0, 0)


def _format_limit(limit: int, used: int = 0) -> str:
    return UNLIMITED if limit == RLIM_INFINITY else f"{max(limit - used, 0):,}"


def _subject(step: Step, context: PlanContext) -> str:
    """Return what the limit counts for: the process, or its user."""
    process = context.process(step.key)
    if process is None:
        return f"process {process_of(step.key)}"
    return process_label(process) if step.row.key == "nofile" else f"user {process.user}"


def _same_user(process: Process, context: PlanContext) -> list[Process]:
    mine = (process.uid, process.user_namespace)
    return [row for row in context.processes if (row.uid, row.user_namespace) == mine]


def _same_name(process: Process, context: PlanContext) -> list[Process]:
    return [row for row in _same_user(process, context) if row.name == process.name]
