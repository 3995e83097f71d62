"""`sockmon prove`: what a sysctl does, measured now on this kernel."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from sockmon.ceilings.sections import Section

OTHERWISE = 2
"""Exit code where the kernel did not do what sockmon says that it does."""
LONG = 5
"""Seconds from which on one is told before how long it takes."""


@click.command(short_help="Measure what a sysctl does, on this kernel.")
@click.argument("key", required=False)
@click.option("--json", "json_", is_flag=True, help="One object, or without KEY one array of them.")
def prove(key: str | None, json_: bool) -> None:
    """What KEY, a sysctl or nofile or nproc, does and does not do: measured now, in namespaces of its own.

    Changes nothing on the host, and needs no privilege. Without KEY: all that can be proved, and how long that
    takes. Exit 0 as sockmon tells it, 1 it cannot be measured here, 2 this kernel behaves otherwise."""
    from sockmon.proofs import BY_KEY, listing, running
    from sockmon.tuning.plan import find

    if key is None:
        click.echo(listing.all_as_json() if json_ else _page(*listing.everything()), color=True)
        return
    key, row = find(key)
    # Of the limit of a process it is the limit that is measured, on a process of our own.
    key = row.key if row.kind == "limit" else key
    if key in BY_KEY and BY_KEY[key].seconds >= LONG:
        click.echo(f"sockmon: this takes about {BY_KEY[key].seconds} s", err=True)
    # The measurement is ended and cleared away before we are.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        finding = running.prove(key, row, _draw)
    finally:
        _draw(0.0, "")
    text = listing.as_json(key, finding) if json_ else _page(*listing.as_page(key, finding))
    click.echo(text, color=True)
    sys.stdout.flush()
    sys.exit(0 if finding.holds else OTHERWISE)


def _page(title: str, what: str, sections: list[Section]) -> str:
    from sockmon.page import page, paper

    return page(title, what, sections, *paper())


def _draw(fraction: float, words: str) -> None:
    """How far it is, on a line of the terminal; without words the line is empty again."""
    if sys.stderr.isatty():
        filled = round(fraction * 20)
        line = f"{'#' * filled}{'.' * (20 - filled)} {words}" if words else ""
        click.echo(f"\r\x1b[K{line}", nl=False, err=True)
