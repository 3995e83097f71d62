"""`sockmon prove`: what a sysctl does, measured now on this kernel."""

from __future__ import annotations

import signal
import sys

import click

OTHERWISE = 2
"""Exit code where the kernel did not do what sockmon says that it does."""
LONG = 5
"""Seconds from which on one is told before how long it takes."""


@click.command()
@click.argument("key", required=False)
@click.option("--json", "json_", is_flag=True, help="One object, or without KEY one array of them.")
def prove(key: str | None, json_: bool) -> None:
    """What the sysctl KEY does and does not do: measured now, in namespaces of its own on this kernel.

    Changes nothing on the host, and needs no privilege. Without KEY: all that can be proved. Exit 0 as sockmon
    tells it, 1 it cannot be measured here, 2 this kernel behaves otherwise."""
    from sockmon.proofs import BY_KEY, listing, running
    from sockmon.tuning.plan import find

    if key is None:
        click.echo(listing.all_as_json() if json_ else listing.all_as_text())
        return
    key, row = find(key)
    if key in BY_KEY and BY_KEY[key].seconds >= LONG:
        click.echo(f"sockmon: this takes about {BY_KEY[key].seconds} s", err=True)
    # The measurement is ended and cleared away before we are.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        finding = running.prove(key, row, _draw)
    finally:
        _draw(0.0, "")
    click.echo(listing.as_json(key, finding) if json_ else listing.as_text(finding))
    sys.stdout.flush()
    sys.exit(0 if finding.holds else OTHERWISE)


def _draw(fraction: float, words: str) -> None:
    """How far it is, on a line of the terminal; without words the line is empty again."""
    if sys.stderr.isatty():
        filled = round(fraction * 20)
        line = f"{'#' * filled}{'.' * (20 - filled)} {words}" if words else ""
        click.echo(f"\r\x1b[K{line}", nl=False, err=True)
