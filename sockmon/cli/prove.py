"""`sockmon prove`: what a sysctl does, measured now on this kernel."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import click

from sockmon import free_tasks
from sockmon.cli import console, usage
from sockmon.errors import LabUnavailable

if TYPE_CHECKING:
    from sockmon.document import Section
    from sockmon.model.experiment import Result
    from sockmon.sandbox.session import Progress
    from sockmon.tuning.planning.naming import NamedKey

EXIT_MISMATCH = 2
"""Exit code if the kernel did not behave as sockmon documents."""
SLOW_SECONDS = 5
"""A measurement that takes this many seconds or more is announced first."""


@click.command(
    short_help="Measure what a sysctl does, on this kernel.",
    epilog=usage.exit_codes(
        "0 as documented", "1 it cannot be measured here", "2 this kernel behaves differently"
    ),
)
@click.argument("key", required=False)
@click.option("--json", "json_", is_flag=True, help="Print one JSON object, or without KEY an array of them.")
def prove(key: str | None, json_: bool) -> None:
    """Measure what KEY does and does not do, in private namespaces; KEY is a sysctl, nofile or nproc.

    Changes nothing on the host, and needs no privilege. Without KEY, list all that can be
    measured and how long each takes."""
    from sockmon.cli.names import find_key
    from sockmon.experiments import BY_KEY, listing

    if key is None:
        click.echo(listing.index_json() if json_ else _page(*listing.index_page()), color=True)
        return
    named = find_key(key)
    # The limit of a running process is measured on a process that the experiment starts.
    key = named.key.partition("@")[0]
    free_tasks.require(free_tasks.SANDBOX, "a measurement")
    if key in BY_KEY and BY_KEY[key].seconds >= SLOW_SECONDS:
        console.print_notice(f"this takes about {BY_KEY[key].seconds} s")
    # SIGTERM must end the measurement, and remove its namespaces, before it ends this process.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with console.progress_bar() as progress:
        result = _measure(named, key, progress)
    text = listing.result_json(key, result) if json_ else _page(*listing.result_page(key, result))
    click.echo(text, color=True)
    sys.stdout.flush()
    sys.exit(0 if result.confirmed else EXIT_MISMATCH)


def _measure(named: NamedKey, key: str, progress: Progress) -> Result:
    from sockmon.experiments import runner
    from sockmon.tunables import Tunable
    from sockmon.tunables.untuned import RemovedKey
    from sockmon.tuning.planning.naming import why_not_tuned

    if isinstance(named.about, Tunable):
        return runner.run_experiment(key, named.about, progress)
    if isinstance(named.about, RemovedKey):
        return runner.check_absent(key, named.about)
    raise LabUnavailable(f"{key} has no experiment: {why_not_tuned(named.about)}", named.about.description)


def _page(title: str, what: str, sections: list[Section]) -> str:
    from sockmon.cli.text_page import render_page, terminal_width_and_colour

    return render_page(title, what, sections, *terminal_width_and_colour())
