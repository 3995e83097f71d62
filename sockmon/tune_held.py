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


def _a_time(context: click.Context, option: click.Parameter, seconds: float) -> float:
    """A range refuses no nan, which is neither too short nor too long."""
    if not SHORTEST <= seconds <= LONGEST:
        raise click.BadParameter(f"{seconds} is no number of seconds")
    return seconds


_HOLD = click.option(
    "--hold",
    type=click.FloatRange(SHORTEST, LONGEST),
    callback=_a_time,
    default=USUAL,
    show_default=True,
    metavar="SECONDS",
    help="How long it is held before it goes back by itself.",
)
_YES = click.option("--yes", is_flag=True, help="Do not ask: for scripts.")
_JSON = click.option("--json", "json_", is_flag=True, help="One object with all of it, on standard output.")


@click.command(short_help="Change values; they go back by themselves unless kept.")
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


@click.command(short_help="Let the change that is held stay.")
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


@click.command(short_help="Put the change that is held back now.")
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


@click.command(short_help="Take back a change that was kept.")
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
    """What was changed, newest first, and what became of it. What is held now comes first of all."""
    from sockmon.model.change import undone
    from sockmon.tuning.transaction import held
    from sockmon.tuning.transaction import history as read

    past = read(root)
    gone = undone(past)
    now = []
    try:
        now = [one for one in (held(root),) if one is not None]
    except (NotTuned, OSError) as error:
        click.echo(f"sockmon: what is held now cannot be seen: {error}", err=True)
    if not (now or past or json_):
        click.echo("nothing was changed yet", err=True)
    for one in (*now, *past):
        click.echo(_as_json(one) if json_ else _line(one, one.id in gone))


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
    line = f"{one.id} {one.state}{', persisted' if one.persisted else ''}"
    click.echo(_as_json(one) if json_ else line)
    for word in one.words:
        click.echo(clean(word, 2000), err=True)


def _as_json(one: Transaction) -> str:
    """JSON escapes the controls of ASCII only, and a person may look at it in a terminal."""
    import msgspec

    text = msgspec.json.encode(one).decode()
    return clean(text, len(text))


def _line(one: Transaction, undone: bool) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.begun))
    steps = (f"{each.name} {each.old or 'empty'} -> {each.new or 'empty'}" for each in one.plan.settings)
    who = one.who.login or one.who.user
    about = [
        *(["persisted"] if one.persisted else []),
        *(["undone since"] if undone else []),
        *([f"undoes {one.plan.undoes}"] if one.plan.undoes else []),
        *([f"goes back in {_left(one):.0f} s"] if one.state == "holding" else []),
    ]
    more = f" ({', '.join(about)})" if about else ""
    return clean(f"{one.id}  {when}  {one.state:<9} {who:<10} {', '.join(steps)}{more}", 2000)


def _left(held: Transaction) -> float:
    """Seconds until it goes back by itself."""
    return max(0.0, held.deadline - time.clock_gettime(time.CLOCK_BOOTTIME))
