"""`sockmon tune apply`, and what is decided about a change that is held: keep, revert, undo; the history."""

from __future__ import annotations

import sys
import termios
import time
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from sockmon.errors import NotTuned
from sockmon.model.clean import clean

if TYPE_CHECKING:
    from sockmon.model.change import Plan, Transaction

WORD = "apply"
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


@click.command()
@click.argument("settings", nargs=-1, required=True, metavar="KEY=VALUE...")
@_HOLD
@_YES
@_ROOT
def apply(settings: tuple[str, ...], hold: float, yes: bool, root: str) -> None:
    """Change values here and now; they go back by themselves unless `sockmon tune keep` comes in time.

    Exit 0 while the change is held."""
    from sockmon.tune import around, preview, wishes
    from sockmon.tuning.plan import plan as make

    wanted = wishes(settings)
    found = make(wanted, around(wanted, None))
    click.echo(preview(found), err=True, color=True)
    if found.plan.settings:
        _carry_out(found.plan, hold, yes, root)


@click.command()
@click.argument("id", required=False)
@click.option("--persist", is_flag=True, help="Write it to /etc/sysctl.d too, so that it survives a restart.")
@_ROOT
def keep(id: str | None, persist: bool, root: str) -> None:
    """Let the change that is held stay."""
    from sockmon.tuning.transaction import ask

    kept = ask("keep", root, id=id or "", persist=persist)
    _tell(kept)
    if kept.state != "kept" or (persist and not kept.persisted):
        sys.exit(1)


@click.command()
@click.argument("id", required=False)
@_ROOT
def revert(id: str | None, root: str) -> None:
    """Put the change that is held back now, or what a killed guard left behind."""
    from sockmon.tuning.transaction import ask

    reverted = ask("revert", root, id=id or "")
    _tell(reverted)
    if reverted.state != "reverted":
        sys.exit(1)


@click.command()
@click.argument("id", required=False)
@_HOLD
@_YES
@_ROOT
def undo(id: str | None, hold: float, yes: bool, root: str) -> None:
    """Take back a change that was kept, the last one or the one with this ID, as a change that is held again."""
    from sockmon.tuning.transaction import history, undoing

    kept = [one for one in history(root) if one.state == "kept" and id in (None, one.id)]
    if not kept:
        raise NotTuned(
            f"no change {clean(id)} was kept" if id else "no change was kept", "see: sockmon tune history"
        )
    plan = undoing(kept[0])
    for setting in plan.settings:
        click.echo(f"{setting.key}: {setting.old or 'empty'} -> {setting.new or 'empty'}", err=True)
    if kept[0].persisted:
        click.echo("It is in /etc/sysctl.d too; `sockmon tune keep --persist` then replaces it there.", err=True)
    _carry_out(plan, hold, yes, root)


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


def _carry_out(plan: Plan, hold: float, yes: bool, root: str) -> None:
    from sockmon.tuning.transaction import apply as apply_plan
    from sockmon.tuning.transaction import whoami

    if not yes:
        _confirm(hold)
    done = apply_plan(plan, whoami(), hold, root)
    _tell(done)
    if done.state != "holding":
        sys.exit(1)
    click.echo(f"It goes back in {hold:.0f} s. To let it stay, from any login: sockmon tune keep", err=True)


def _confirm(hold: float) -> None:
    """The typed word, typed after all was shown; NotTuned for anything else, and where nobody can type."""
    if not sys.stdin.isatty():
        raise NotTuned("nobody can confirm it: standard input is no terminal", "in a script: --yes")
    # What was typed or pasted before the preview was drawn says nothing about it.
    with suppress(termios.error):
        termios.tcflush(sys.stdin.fileno(), termios.TCIFLUSH)
    typed = click.prompt(
        f"Type {WORD} to do it; it is held for {hold:.0f} s", default="", show_default=False, err=True
    )
    if typed.strip() != WORD:
        raise NotTuned("nothing was changed")


def _tell(one: Transaction) -> None:
    """The id and the state on standard output, the words on standard error."""
    click.echo(f"{one.id} {one.state}{', persisted' if one.persisted else ''}")
    for word in one.words:
        click.echo(clean(word, 2000), err=True)


def _line(one: Transaction) -> str:
    when = time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(one.begun))
    what = ", ".join(f"{setting.key} {setting.old} -> {setting.new}" for setting in one.plan.settings)
    who = one.who.login or one.who.user
    return clean(f"{one.id}  {when}  {one.state:<9} {who:<10} {what}", 2000)
