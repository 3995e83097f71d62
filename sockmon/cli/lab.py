"""`sockmon lab`: list the labs, and run a command in one."""

from __future__ import annotations

import signal
import sys
from typing import TYPE_CHECKING

import click

from sockmon import free_tasks
from sockmon.cli import console, usage
from sockmon.errors import Misuse

if TYPE_CHECKING:
    from sockmon.sandbox.scenario import Lab


@click.group(short_help="Reproduce each limit in a private namespace.")
def lab() -> None:
    """Reproduce any limit on the real kernel, in namespaces that are removed afterwards."""


@lab.command(
    "list",
    short_help="List the labs, and which of them cannot run here.",
    epilog=usage.exit_codes("0 listed"),
)
@click.option("--json", "json_", is_flag=True, help="Print a JSON array.")
def lab_list(json_: bool) -> None:
    """List every lab: the limit that it reaches, and the reason if it cannot run here."""
    from sockmon.labs.listing import as_json, as_text

    click.echo(as_json() if json_ else as_text(console.width() if sys.stdout.isatty() else None))


@lab.command(
    "run",
    short_help="Build a lab and open the screen on it.",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
    epilog=usage.exit_codes("that of the command in the lab", "1 if the lab could not be built"),
)
@click.option(
    "--size",
    type=click.IntRange(4, 2000),
    metavar="NUMBER",
    help="How many namespaces many-namespaces has (default 200).",
)
@click.argument("name")
@click.argument("verb", nargs=-1, type=click.UNPROCESSED, metavar="[-- COMMAND...]")
def lab_run(name: str, verb: tuple[str, ...], size: int | None) -> None:
    """Build the lab NAME and open the screen on it, or run another command of sockmon there.

    \b
    sockmon lab run process-fds
    sockmon lab run process-fds -- check --json"""
    from sockmon.labs import find_lab
    from sockmon.sandbox.session import run_lab

    scenario = find_lab(name)
    if size is not None:
        scenario = _resized(scenario, size)
    verb = verb[1:] if verb[:1] == ("--",) else verb
    if not verb:
        console.require_terminal()
    elif not verb[0].startswith("-"):
        # A misspelled command is reported before a large lab is built.
        root = click.get_current_context().find_root()
        assert isinstance(root.command, click.Group)
        root.command.resolve_command(root, list(verb))
    free_tasks.require(free_tasks.SANDBOX, "a lab")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with console.progress_bar() as progress, run_lab(scenario, progress) as running:
        if sys.stderr.isatty():
            progress(0.0, "")
            click.echo(scenario.summary, err=True)
        if running.recording_reason:
            console.print_notice(f"{running.recording_reason}, so this is a recording of a real run")
        if not running.isolated:
            console.print_notice("this lab could not mount its own /proc, so host processes are visible too")
        code = running.run_in_terminal(*verb)
    sys.exit(code)


def _resized(scenario: Lab, size: int) -> Lab:
    """Return the lab with `size` namespaces; raise Misuse if it has always the same."""
    from dataclasses import replace

    if not scenario.size:
        raise Misuse(f"{scenario.name} has one size", "leave out --size")
    return replace(scenario, size=size)
