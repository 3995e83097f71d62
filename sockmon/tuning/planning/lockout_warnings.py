"""Warnings about changes after which logins fail: fs.nr_open below what the configuration asks for, too few
ids.

The kernel refuses a hard limit of descriptors above fs.nr_open with EPERM (do_prlimit() in kernel/sys.c).
pam_limits then ends the session, except on Debian and Ubuntu, whose version logs it and leaves the limit as it
is. systemd tries once more with its own hard limit, which is above the new fs.nr_open too, and the unit fails
with 205/LIMITS (exec_child())."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon import format as fmt
from sockmon.ceilings.tasks import PID_KEY, RESERVED_PIDS, THREADS_KEY
from sockmon.model.limit_origin import ConfiguredLimit, ConfiguredLimits
from sockmon.model.plan import PlanWarning
from sockmon.model.snapshot import UNLIMITED
from sockmon.tunables.value import parse_numbers
from sockmon.tuning.planning.context import PlanContext
from sockmon.tuning.planning.step import NR_OPEN, Step

MAX_NAMED = 2
NEAR_SHARE = 0.85
"""Share of the new limit that is in use from which on there is a warning: the level of the ceilings."""


def lockout_warnings(step: Step, context: PlanContext) -> Iterator[PlanWarning]:
    """Yield the warnings about `step` that concern logins and units."""
    new = parse_numbers(step.new)
    if not step.lowers or not new:
        return
    if step.key == NR_OPEN and context.configured_limits is not None:
        yield from _too_few_descriptors(new[-1], context.configured_limits)
    elif step.key in (PID_KEY, THREADS_KEY):
        yield from _too_few_tasks(step.key, new[-1], context)


def _too_few_descriptors(nr_open: int, configured: ConfiguredLimits) -> Iterator[PlanWarning]:
    above = [row for row in configured.rows if row.hard > nr_open or row.hard == UNLIMITED]
    logins = [row for row in above if row.kind == "login"]
    units = [row for row in above if row.kind != "login"]
    refused = f"the kernel refuses a hard limit above {nr_open:,} (EPERM)"
    if logins:
        yield PlanWarning(_of_logins(logins, configured, refused), severe=True)
    if units:
        yield PlanWarning(
            f"{_named(units)} more: {refused}, and a unit that does fails at its next start with 205/LIMITS",
            severe=True,
        )
    if configured.unread:
        yield PlanWarning(f"{fmt.first_names(list(configured.unread), MAX_NAMED)}: it may ask for more")


def _of_logins(rows: list[ConfiguredLimit], configured: ConfiguredLimits, refused: str) -> str:
    programs = fmt.first_names(list(configured.login_programs), MAX_NAMED) or "ssh, sudo, cron"
    asks = f"{_named(rows)} more: {refused}"
    if not configured.refuses_login:
        return (
            f"{asks}. pam_limits here ({programs}) logs that and leaves the limit as it is, as on Debian and"
            " Ubuntu alone: in a container of another distribution it ends the session"
        )
    everybody = any(row.login == "*" for row in rows)
    who = "nobody can" if everybody else f"{_who(rows)} cannot"
    return f"{who} log in again ({programs}): {asks}, and pam_limits ends the session"


def _who(rows: list[ConfiguredLimit]) -> str:
    return fmt.first_names(list(dict.fromkeys(row.login for row in rows)), MAX_NAMED)


def _named(rows: list[ConfiguredLimit]) -> str:
    """Return `FILE:LINE (TEXT) asks for` of the first rows, the highest first."""
    ordered = sorted(rows, key=lambda row: (row.hard != UNLIMITED, -row.hard))
    names = [f"{row.at} ({row.text})" if row.text else row.at for row in ordered]
    return f"{fmt.first_names(names, MAX_NAMED)} {'asks' if len(rows) == 1 else 'ask'} for"


def _too_few_tasks(key: str, new: int, context: PlanContext) -> Iterator[PlanWarning]:
    tasks = context.snapshot.tasks if context.snapshot else None
    if tasks is None:
        yield PlanWarning("it is not known how many tasks there are: /proc/loadavg could not be read")
        return
    # Once the ids have wrapped around, which a lower pid_max makes them do, those below 300 are not used again.
    reserved = RESERVED_PIDS if key == PID_KEY else 0
    room = max(new - reserved - (0 if key == PID_KEY else tasks.total), 0)
    if tasks.total + reserved < NEAR_SHARE * new:
        return
    left = f"at most {room:,} ids for all tasks" if key == PID_KEY else f"room for {fmt.plural(room, 'more task')}"
    yield PlanWarning(
        f"it leaves {left}, with {tasks.total:,} in use: then fork() fails with EAGAIN for every user, and ssh,"
        " sudo and cron start nothing any more",
        severe=True,
    )
