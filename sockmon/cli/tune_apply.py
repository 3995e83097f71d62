"""`sockmon tune apply`, `keep`, `revert`, `undo`, `history`: change values, decide about a change, list them."""

from __future__ import annotations

import os
import shlex
import sys
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from sockmon import privileges
from sockmon.cli import console, usage
from sockmon.errors import TuningError
from sockmon.own_command import command
from sockmon.text import sanitize

if TYPE_CHECKING:
    from sockmon.model.plan import Plan
    from sockmon.model.transaction import ForeignValue, Transaction

MIN_HOLD, DEFAULT_HOLD, MAX_HOLD = 10, 60, 3600
"""Seconds."""
ROOT = click.option("--root", hidden=True, default="/", help="Where run, var and etc are.")


_HOLD = click.option(
    "--hold",
    type=usage.Seconds(MIN_HOLD, MAX_HOLD),
    default=DEFAULT_HOLD,
    show_default=True,
    metavar="SECONDS",
    help="Roll back after this long unless you keep the change.",
)
YES = click.option("--yes", is_flag=True, help="Do not ask for confirmation; for scripts.")
_ID = click.argument("change", metavar="[ID]", required=False)
JSON = click.option("--json", "json_", is_flag=True, help="Print the result as JSON.")


@click.command(
    short_help="Change values; they are rolled back unless you keep them.",
    epilog=usage.exit_codes(
        "0 if the change is pending, or there is nothing to change", "1 if it was refused, failed or rolled back"
    ),
)
@click.argument("settings", nargs=-1, required=True, metavar="KEY=VALUE...")
@usage.netns_option
@_HOLD
@YES
@JSON
@ROOT
def apply(settings: tuple[str, ...], netns: str | None, hold: float, yes: bool, json_: bool, root: str) -> None:
    """Change values now; they are rolled back automatically unless you run `sockmon tune keep` in time.

    With --netns in that network namespace: what ends with it needs no rollback."""
    from sockmon.cli.tune import context_and_observation, format_proposal, parse_assignments
    from sockmon.tuning.planning.plan import make_plan
    from sockmon.tuning.planning.reasons import with_reasons

    wanted = parse_assignments(settings)
    context, now = context_and_observation(wanted, netns)
    found = make_plan(wanted, context)
    click.echo(format_proposal(found), err=True, color=True)
    if found.plan.settings:
        if not yes:
            require_root(root, ["apply", *(("--netns", netns) if netns else ()), *settings])
        _apply_and_report(with_reasons(found.plan, now.report, now.snapshot), hold, yes, json_, root)
    elif json_:
        click.echo("null")


def require_root(root: str, arguments: Sequence[str]) -> None:
    """Raise TuningError, before the user is asked to confirm, if the change would be refused without root;
    `arguments` are those of `sockmon tune`."""
    if root == "/" and os.geteuid() != 0:
        again = shlex.join(["sudo", command(), "tune", *arguments])
        raise TuningError("not applied: changing the system takes root", f"run: {again}")


@click.command(
    short_help="Keep the pending change.",
    epilog=usage.exit_codes(
        "0 kept",
        "1 if not kept, if a value was changed by another process meanwhile, or if it was not written to"
        " /etc/sysctl.d as requested",
    ),
)
@_ID
@click.option("--persist", is_flag=True, help="Also write it to /etc/sysctl.d, so that it survives a reboot.")
@JSON
@ROOT
def keep(change: str | None, persist: bool, json_: bool, root: str) -> None:
    """Keep the pending change, which is otherwise rolled back when its time is over.

    Before that, report what has become of the alarm that was the reason for it."""
    from sockmon.cli.did_it_help import observe_pending, outcome_lines
    from sockmon.tuning.transaction.client import decide

    if (pending := observe_pending(change or "", root)) is not None:
        lines = outcome_lines(pending) or ["whether it helped was not sampled: the hold is about to end"]
        click.echo("\n".join(lines), err=True)
    kept = decide("keep", root, id=change or "", persist=persist)
    print_transaction(kept, json_)
    if kept.state != "kept" or kept.not_kept or not _persisted_as_requested(kept, persist, root):
        sys.exit(1)


def _persisted_as_requested(kept: Transaction, persist: bool, root: str) -> bool:
    """Return whether /etc/sysctl.d was changed as requested: written, or restored if the change is an undo."""
    from sockmon.tuning.transaction.client import history

    if persist or not kept.plan.undoes:
        return kept.persisted or not persist
    wrote = {entry.key for one in history(root) if one.id == kept.plan.undoes for entry in one.entries}
    return wrote & {setting.key for setting in kept.plan.settings} <= {entry.key for entry in kept.entries}


@click.command(
    short_help="Roll back the pending change now.",
    epilog=usage.exit_codes("0 rolled back", "1 if not, or if there is no pending change"),
)
@_ID
@JSON
@ROOT
def revert(change: str | None, json_: bool, root: str) -> None:
    """Roll back the pending change now, or a change that was interrupted because its guard was killed."""
    from sockmon.tuning.transaction.client import decide

    reverted = decide("revert", root, id=change or "")
    print_transaction(reverted, json_)
    if reverted.state != "reverted":
        sys.exit(1)


@click.command(
    short_help="Undo a change that was kept.",
    epilog=usage.exit_codes(
        "0 if the undo is pending", "1 if there is no such change, or it was refused, failed or rolled back"
    ),
)
@_ID
@_HOLD
@YES
@JSON
@ROOT
def undo(change: str | None, hold: float, yes: bool, json_: bool, root: str) -> None:
    """Undo the last change that was kept, or the one with this ID.

    The undo is a change too: it is rolled back unless you keep it. When you keep it, the lines that the
    original change wrote to /etc/sysctl.d are removed or restored too."""
    from sockmon.cli.tune import format_proposal, planning_context
    from sockmon.tuning.planning.undo import undo_proposal

    kept = _drop_ended_processes(_transaction_to_undo(change, root))
    context = planning_context([setting.name for setting in kept.plan.settings], _netns_of(kept))
    found = undo_proposal(kept, context)
    click.echo(format_proposal(found), err=True, color=True)
    _apply_and_report(found.plan, hold, yes, json_, root)


def _transaction_to_undo(wanted: str | None, root: str) -> Transaction:
    """Return the kept change with the id `wanted`, or the last one; raise TuningError if there is none."""
    from sockmon.model.transaction import kept_not_undone
    from sockmon.tuning.planning.undo import require_values
    from sockmon.tuning.transaction.client import history

    past = history(root)
    kept = (
        [one for one in past if (one.state == "kept" or one.action) and one.id == wanted]
        if wanted
        else kept_not_undone(past)
    )
    if (found := next(iter(kept), None)) is not None:
        require_values(found)
        return found
    raise TuningError(
        f"no kept change has the id {sanitize(wanted)}" if wanted else "there is no kept change to undo",
        "see: sockmon tune history",
    )


def _netns_of(kept: Transaction) -> str | None:
    """Return what opens the network namespace of a change, if it is not ours and of this boot."""
    from sockmon.kernel.identity import boot_id

    return kept.plan.target.entry if kept.plan.target and kept.plan.boot_id == boot_id() else None


def _drop_ended_processes(kept: Transaction) -> Transaction:
    """Return the change without limits of what has ended; raise TuningError if it has no others."""
    from msgspec.structs import replace

    from sockmon.tuning.transaction.targets import has_ended

    ended = [setting for setting in kept.plan.settings if has_ended(setting)]
    for setting in ended:
        what = "its cgroup was removed" if setting.cgroup else f"process {setting.pid} has ended"
        click.echo(f"{setting.name}: {what}, so its limit needs no undo", err=True)
    left = tuple(setting for setting in kept.plan.settings if setting not in ended)
    if not left:
        raise TuningError("there is nothing to undo: what had the limits has ended")
    return replace(kept, plan=replace(kept.plan, settings=left))


@click.command(
    short_help="List the changes and their outcome.",
    epilog=usage.exit_codes("0 listed", "1 if the history could not be read"),
)
@click.option("--json", "json_", is_flag=True, help="Print one JSON object a line, newest first.")
@ROOT
def history(json_: bool, root: str) -> None:
    """List the changes and their outcome: the pending one first, then the newest."""
    from sockmon.cli.did_it_help import observe_pending, outcome_lines
    from sockmon.model.transaction import undone_ids
    from sockmon.tuning.transaction.client import history as read
    from sockmon.tuning.transaction.client import pending_change

    past = read(root)
    undone = undone_ids(past)
    pending = []
    try:
        pending = [one for one in (observe_pending("", root) or pending_change(root),) if one is not None]
    except (TuningError, OSError) as error:
        console.print_notice(f"it is not known whether a change is pending: {error}")
    if not (pending or past or json_):
        click.echo("no changes yet", err=True)
    for one in (*pending, *past):
        click.echo(_as_json(one) if json_ else _history_line(one, one.id in undone))
        for line in () if json_ else outcome_lines(one):
            click.echo(f"  {line}")


VERBS = (apply, keep, revert, undo, history)


def _apply_and_report(plan: Plan, hold: float, yes: bool, json_: bool, root: str) -> None:
    from sockmon.cli.confirm import confirm
    from sockmon.cli.did_it_help import reason_lines
    from sockmon.tuning.transaction.actor import current_actor
    from sockmon.tuning.transaction.client import apply as apply_plan

    if not yes:
        confirm(f"The change is rolled back after {hold:.0f} s unless you keep it.")
    done = apply_plan(plan, current_actor(), hold, root)
    print_transaction(done, json_)
    if done.state != "holding":
        sys.exit(1)
    if not plan.undoes:
        click.echo("\n".join(reason_lines(plan)), err=True)
    again = shlex.join([*privileges.privileged_command(), "tune", "keep"])
    click.echo(f"Pending: it is rolled back in {hold:.0f} s. To keep it, on any terminal: {again}", err=True)


def print_transaction(one: Transaction, json_: bool) -> None:
    """Print the id and the stored state, or all of it as JSON, on standard output; messages on standard error."""
    click.echo(_as_json(one) if json_ else sanitize(f"{one.id} {_result(one)}", 2000))
    for message in one.messages:
        click.echo(sanitize(message, 2000), err=True)


def _result(one: Transaction) -> str:
    """Return `kept, persisted`, `kept, except KEY`, `not kept` or `forgotten`; of another change its state."""
    if one.plan.forgets:
        return forget_result(one)
    if one.not_kept and not one.kept_settings:
        return "not kept"
    lost = f", except {', '.join(each.name for each in one.not_kept)}" if one.not_kept else ""
    return f"{one.state}{', persisted' if one.persisted else ''}{lost}"


def forget_result(one: Transaction) -> str:
    """Return what became of the lines that were to be removed."""
    if one.state != "kept":
        return one.state
    return "forgotten" if one.forgotten == one.plan.forgets else "not forgotten"


def _as_json(one: Transaction) -> str:
    """Return one line of JSON that is safe to print: JSON itself escapes only the controls of ASCII."""
    import msgspec

    text = msgspec.json.encode(one).decode()
    return sanitize(text, len(text))


def _history_line(one: Transaction, undone: bool) -> str:
    from sockmon.model.acting import action_text
    from sockmon.model.transaction import STATE_LABELS

    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.begun))
    steps = [f"{each.name} {each.old or 'empty'} → {each.new or 'empty'}" for each in one.plan.settings]
    steps += [f"the line of {key} in /etc/sysctl.d/90-sockmon.conf" for key in one.plan.forgets]
    steps += [action_text(one.action)] if one.action else []
    actor = one.actor.login or one.actor.user
    notes = [
        *([f"in {one.plan.target.name}"] if one.plan.target else []),
        *(["persisted"] if one.persisted else []),
        *(f"{each.name} not kept: {_value_when_kept(each)}" for each in one.not_kept),
        *(["undone"] if undone else []),
        *([f"undoes {one.plan.undoes}"] if one.plan.undoes else []),
        *(["no way back"] if one.action and one.action.done else []),
        *([f"rolled back in {_seconds_left(one):.0f} s"] if one.state == "holding" else []),
    ]
    result = _result(one).partition(",")[0]
    state = STATE_LABELS[one.state] if result == one.state else result
    note = f" ({', '.join(notes)})" if notes else ""
    return sanitize(f"{one.id}  {when}  {state:<11} {actor:<10} {', '.join(steps)}{note}", 2000)


def _value_when_kept(lost: ForeignValue) -> str:
    return "it did not exist any more" if lost.now is None else f"it was {lost.now or 'empty'}"


def _seconds_left(pending: Transaction) -> float:
    """Return the seconds until the pending change is rolled back."""
    return max(0.0, pending.deadline - time.clock_gettime(time.CLOCK_BOOTTIME))
