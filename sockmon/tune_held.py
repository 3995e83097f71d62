"""`sockmon tune apply`, and what is decided about a change that is held: keep, revert, undo; the history."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

import click

from sockmon.errors import NotTuned
from sockmon.model.clean import clean

if TYPE_CHECKING:
    from sockmon.model.change import Plan, Transaction

SHORTEST, USUAL, LONGEST = 10, 60, 3600
_ROOT = click.option("--root", hidden=True, default="/", help="Where run, var and etc are.")
_HOLD = click.option(
    "--hold",
    type=click.FloatRange(SHORTEST, LONGEST),
    default=USUAL,
    show_default=True,
    metavar="SECONDS",
    help="How long it is held before it goes back by itself.",
)
_YES = click.option("--yes", is_flag=True, help="Do not ask: for scripts.")
_JSON = click.option("--json", "json_", is_flag=True, help="One object with all of it, on standard output.")


@click.command()
@click.argument("settings", nargs=-1, required=True, metavar="KEY=VALUE...")
@_HOLD
@_YES
@_JSON
@_ROOT
def apply(settings: tuple[str, ...], hold: float, yes: bool, json_: bool, root: str) -> None:
    """Change values here and now; they go back by themselves unless `sockmon tune keep` comes in time.

    Exit 0 while the change is held, and where there is nothing to change."""
    from sockmon.tune import around, preview, wishes
    from sockmon.tuning.plan import plan as make

    wanted = wishes(settings)
    found = make(wanted, around(wanted, None))
    click.echo(preview(found), err=True, color=True)
    if found.plan.settings:
        _carry_out(found.plan, hold, yes, json_, root)
    elif json_:
        click.echo("null")


@click.command()
@click.argument("id", required=False)
@click.option("--persist", is_flag=True, help="Write it to /etc/sysctl.d too, so that it survives a restart.")
@_JSON
@_ROOT
def keep(id: str | None, persist: bool, json_: bool, root: str) -> None:
    """Let the change that is held stay. Exit 1 where it does, and /etc/sysctl.d could not be made to agree."""
    from sockmon.tuning.transaction import ask

    kept = ask("keep", root, id=id or "", persist=persist)
    _tell(kept, json_)
    if kept.state != "kept" or not _lasts(kept, persist, root):
        sys.exit(1)


def _lasts(kept: Transaction, persist: bool, root: str) -> bool:
    """Whether /etc/sysctl.d is as it was asked for: written, or what an undone change wrote there taken back."""
    from sockmon.tuning.transaction import history

    if persist or not kept.plan.undoes:
        return kept.persisted or not persist
    wrote = {entry.key for one in history(root) if one.id == kept.plan.undoes for entry in one.entries}
    return wrote & {setting.key for setting in kept.plan.settings} <= {entry.key for entry in kept.entries}


@click.command()
@click.argument("id", required=False)
@_JSON
@_ROOT
def revert(id: str | None, json_: bool, root: str) -> None:
    """Put the change that is held back now, or what a killed guard left behind."""
    from sockmon.tuning.transaction import ask

    reverted = ask("revert", root, id=id or "")
    _tell(reverted, json_)
    if reverted.state != "reverted":
        sys.exit(1)


@click.command()
@click.argument("id", required=False)
@_HOLD
@_YES
@_JSON
@_ROOT
def undo(id: str | None, hold: float, yes: bool, json_: bool, root: str) -> None:
    """Take back a change that was kept, the last one that still stands or the one with this ID.

    It is held again; once it is kept, what that change wrote to /etc/sysctl.d is taken back too."""
    from sockmon.tuning.transaction import undoing

    kept = _to_undo(id, root)
    plan = _of_the_living(undoing(kept))
    for setting in plan.settings:
        click.echo(f"{setting.name}: {setting.old or 'empty'} -> {setting.new or 'empty'}", err=True)
    for entry in kept.entries:
        back = "the line that was there before comes back to" if entry.before else "its line goes out of"
        click.echo(f"{entry.key}: once this is kept, {back} /etc/sysctl.d/90-sockmon.conf", err=True)
    _carry_out(plan, hold, yes, json_, root)


def _to_undo(id: str | None, root: str) -> Transaction:
    """NotTuned where there is none."""
    from sockmon.model.change import standing
    from sockmon.tuning.transaction import history

    past = history(root)
    kept = [one for one in past if one.state == "kept" and one.id == id] if id else list(standing(past))
    if not kept:
        raise NotTuned(
            f"no change {clean(id)} was kept" if id else "no change is left to take back",
            "see: sockmon tune history",
        )
    return kept[0]


def _of_the_living(plan: Plan) -> Plan:
    """Without limits of processes that have ended: these went with them."""
    import msgspec

    from sockmon.tuning.targets import has_ended

    ended = [setting for setting in plan.settings if has_ended(setting)]
    for setting in ended:
        click.echo(f"{setting.name}: process {setting.pid} has ended, and its limit with it", err=True)
    left = tuple(setting for setting in plan.settings if setting not in ended)
    if not left:
        raise NotTuned("nothing is left to take back")
    return msgspec.structs.replace(plan, settings=left)


@click.command()
@click.option("--json", "json_", is_flag=True, help="One object a line, newest first.")
@_ROOT
def history(json_: bool, root: str) -> None:
    """What was changed, newest first, and what became of it."""
    import msgspec

    from sockmon.tuning.transaction import history as read

    for one in read(root):
        click.echo(msgspec.json.encode(one).decode() if json_ else _line(one))


VERBS = (apply, keep, revert, undo, history)


def _carry_out(plan: Plan, hold: float, yes: bool, json_: bool, root: str) -> None:
    from sockmon.confirm import confirm
    from sockmon.tuning.transaction import apply as apply_plan
    from sockmon.tuning.transaction import whoami

    if not yes:
        confirm(f"to do it; it is held for {hold:.0f} s")
    done = apply_plan(plan, whoami(), hold, root)
    _tell(done, json_)
    if done.state != "holding":
        sys.exit(1)
    click.echo(f"It goes back in {hold:.0f} s. To let it stay, from any login: sockmon tune keep", err=True)


def _tell(one: Transaction, json_: bool) -> None:
    """The id and the state on standard output, or all of it as JSON; the words on standard error."""
    import msgspec

    line = f"{one.id} {one.state}{', persisted' if one.persisted else ''}"
    click.echo(msgspec.json.encode(one).decode() if json_ else line)
    for word in one.words:
        click.echo(clean(word, 2000), err=True)


def _line(one: Transaction) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.begun))
    what = ", ".join(f"{setting.name} {setting.old} -> {setting.new}" for setting in one.plan.settings)
    who = one.who.login or one.who.user
    undoes = f" (undoes {one.plan.undoes})" if one.plan.undoes else ""
    return clean(f"{one.id}  {when}  {one.state:<9} {who:<10} {what}{undoes}", 2000)
