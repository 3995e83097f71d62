"""`sockmon tune`: what can be changed, what it should be, what a change would do, what became of what was kept."""

from __future__ import annotations

import shutil
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from sockmon.errors import NotTuned, Refused
from sockmon.model.clean import clean

if TYPE_CHECKING:
    from sockmon.model.change import Proposal
    from sockmon.model.snapshot import Snapshot
    from sockmon.tuning.here import Here

NETNS_HELP = "In a network namespace: its name, a PID that lives in it, or a path."


@click.group(short_help="Change a sysctl or a limit; it goes back unless kept.")
def tune() -> None:
    """Sysctls and limits that cap connections: what they are, what they should be, what a change would do."""


@tune.command("list", short_help="All that can be changed, and what is advised here.")
@click.option("--json", "json_", is_flag=True, help="One object with all of them.")
@click.option("--netns", metavar="NAME|PID|PATH", help=NETNS_HELP)
def list_(json_: bool, netns: str | None) -> None:
    """All that can be changed: now, at boot, by default, and as this machine's alarms advise."""
    from sockmon.explain import look as look_at
    from sockmon.tuning import listing

    now = look_at(netns)
    keys = listing.keys(now.report)
    rows = listing.rows(keys, _here(keys, netns, now.snapshot), now.report)
    if now.refused:
        click.echo(f"sockmon: without advice: {now.refused}", err=True)
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(listing.as_json(rows) if json_ else listing.as_text(rows, width))


@tune.command(short_help="One of them: its value, bounds, effect and risk.")
@click.argument("key")
@click.option("--json", "json_", is_flag=True, help="One object with the same.")
@click.option("--netns", metavar="NAME|PID|PATH", help=NETNS_HELP)
def show(key: str, json_: bool, netns: str | None) -> None:
    """One sysctl, or nofile@PID: its value, what it may and should be, and what to know before changing it."""
    from sockmon.explain import look as look_at
    from sockmon.page import page, paper
    from sockmon.tuning import listing
    from sockmon.tuning.plan import find, needed

    key, _ = find(key)
    keys = needed([key])
    now = look_at(netns)
    here = _here(keys, netns, now.snapshot)
    row = listing.rows([key], here, now.report)[0]
    if json_:
        click.echo(listing.one_as_json(row))
    else:
        click.echo(page(*listing.one(row, here), *paper()), color=True)


@tune.command(short_help="What a change would do, in numbers; changes nothing.")
@click.argument("settings", nargs=-1, required=True, metavar="KEY=VALUE...")
@click.option("--json", "json_", is_flag=True, help="One object with the same.")
@click.option("--netns", metavar="NAME|PID|PATH", help=NETNS_HELP)
def plan(settings: tuple[str, ...], json_: bool, netns: str | None) -> None:
    """What a change would do, checked against this machine. Needs no privilege, and changes nothing."""
    from sockmon.tuning import proposal
    from sockmon.tuning.plan import plan as make

    wanted = wishes(settings)
    found = make(wanted, around(wanted, netns))
    click.echo(proposal.as_json(found) if json_ else preview(found), color=True)


@tune.command(short_help="Whether everything that was kept is still so.")
@click.option("--json", "json_", is_flag=True, help="One object with the same.")
@click.option("--root", hidden=True, default="/", help="Where run, var and etc are.")
def verify(json_: bool, root: str) -> None:
    """Whether everything that was kept is still so, now and after a restart. Exit 0 where it is, 1 where not."""
    from sockmon.tuning import verify as kept

    drift = kept.verify(root)
    if json_:
        click.echo(kept.as_json(drift))
    elif not drift:
        click.echo("everything that was kept is as it was kept")
    for one in () if json_ else drift:
        click.echo(one.words)
    sys.exit(1 if drift else 0)


def preview(found: Proposal) -> str:
    """Everything that somebody should know before it is done, as a terminal takes it."""
    from sockmon.page import page, paper
    from sockmon.tuning.proposal import by_hand, pages

    return "\n\n".join(
        [*(page(*each, *paper()).rstrip() for each in pages(found)), "\n".join(by_hand(found))]
    ).rstrip()


def wishes(settings: tuple[str, ...]) -> dict[str, str]:
    """Values by key out of KEY=VALUE; Refused for anything else, and for a key that is there twice."""
    wanted: dict[str, str] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise Refused(f"`{clean(setting)}` is not KEY=VALUE", "for example: net.core.somaxconn=8192")
        key = key.strip(" \t")
        if wanted.setdefault(key, value) != value:
            raise Refused(f"{clean(key)} is asked for twice, with different values")
    return wanted


def around(wanted: dict[str, str], netns: str | None) -> Here:
    """What a plan for `wanted` has to know: the values now, and who listens; Refused for a key that none knows."""
    from sockmon.explain import look as look_at
    from sockmon.tuning.plan import needed

    keys = needed(wanted)
    now = look_at(netns)
    if now.refused:
        click.echo(f"sockmon: planned without a look at who listens: {now.refused}", err=True)
    return _here(keys, netns, now.snapshot)


def _here(keys: list[str], netns: str | None, snapshot: Snapshot | None) -> Here:
    """The values of `keys`, and what a restart would make of them."""
    from dataclasses import replace

    from sockmon.tunables import row_of
    from sockmon.tuning.inside import home
    from sockmon.tuning.look import look
    from sockmon.tuning.outlook import outlooks

    here = look(keys, netns, snapshot)
    # A boot sets the values of the namespace that it begins in.
    reached = [key for key in keys if not (netns and row_of(key).scope == "netns")]
    root = "/"
    with suppress(NotTuned):
        root = home()
    return replace(here, outlooks=outlooks(reached, root))
