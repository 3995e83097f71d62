"""`sockmon tune list`, `show`, `plan` and `verify`: the settings, the advice, the plan of a change, and drift."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable
from contextlib import suppress
from typing import TYPE_CHECKING

import click

from sockmon.cli import console, usage
from sockmon.errors import Misuse, TuningError
from sockmon.text import sanitize

if TYPE_CHECKING:
    from sockmon.explain.observation import Observation
    from sockmon.model.plan import Proposal
    from sockmon.tuning.planning.context import PlanContext


@click.group(short_help="Change a sysctl or limit; it is rolled back unless you keep it.")
def tune() -> None:
    """Show, plan and change the sysctls and limits that cap connections.

    A change is pending at first: it is rolled back automatically unless you keep it in time."""


@tune.command(
    "list",
    short_help="List every setting, and what is advised here.",
    epilog=usage.exit_codes("0 listed", "1 if the namespace could not be read"),
)
@click.option("--json", "json_", is_flag=True, help="Print one JSON object.")
@usage.netns_option
def list_(json_: bool, netns: str | None) -> None:
    """List every setting that can be changed: its value now, after a reboot and by default, and the value that an
    alarm on this machine advises."""
    from sockmon.cli.explain import observe
    from sockmon.tuning.planning import catalog

    now = observe(netns)
    keys = catalog.listed_keys(now.report)
    rows = catalog.rows(keys, _read_context(keys, netns, now), now.report)
    if now.unavailable_reason:
        console.print_notice(f"no advice: {now.unavailable_reason}")
    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    click.echo(catalog.as_json(rows) if json_ else catalog.as_text(rows, width))


@tune.command(
    short_help="Show one setting: its value, bounds, effect and risk.",
    epilog=usage.exit_codes("0 shown", "1 if the namespace could not be read"),
)
@click.argument("key")
@click.option("--json", "json_", is_flag=True, help="Print one JSON object.")
@usage.netns_option
def show(key: str, json_: bool, netns: str | None) -> None:
    """Show one sysctl, or a limit such as nofile@PID: its value, the allowed and the advised values, and what to
    know before you change it. The limit of a cgroup is pids.max@/system.slice/X.service, or pids.max@PID for the
    cgroup that a process is in; memory.max and memory.high likewise."""
    from sockmon.cli import names
    from sockmon.cli.explain import observe
    from sockmon.cli.text_page import render_page, terminal_width_and_colour
    from sockmon.tunables import Tunable
    from sockmon.tuning.planning import catalog
    from sockmon.tuning.planning.plan import keys_to_read

    named = names.find_key(key)
    if not isinstance(named.about, Tunable):
        page = names.untuned_json(named, named.about, netns) if json_ else ""
        click.echo(page or names.untuned_page(named.key, named.about, netns), color=True)
        return
    key = named.key
    keys = keys_to_read([key])
    now = observe(netns)
    here = _read_context(keys, netns, now)
    row = catalog.rows([key], here, now.report)[0]
    if json_:
        click.echo(catalog.row_as_json(row))
    else:
        click.echo(render_page(*catalog.setting_page(row, here), *terminal_width_and_colour()), color=True)


@tune.command(
    short_help="Show what a change would do, without changing anything.",
    epilog=usage.exit_codes("0 planned", "1 if sockmon refuses this change"),
)
@click.argument("settings", nargs=-1, required=True, metavar="KEY=VALUE...")
@click.option("--json", "json_", is_flag=True, help="Print one JSON object.")
@usage.netns_option
def plan(settings: tuple[str, ...], json_: bool, netns: str | None) -> None:
    """Show what a change would do on this machine. This needs no privilege and changes nothing."""
    from sockmon.tuning.planning import proposal_pages
    from sockmon.tuning.planning.plan import make_plan

    wanted = parse_assignments(settings)
    found = make_plan(wanted, planning_context(wanted, netns))
    click.echo(proposal_pages.as_json(found) if json_ else format_proposal(found), color=True)


@tune.command(
    short_help="Check that kept changes are still in effect.",
    epilog=usage.exit_codes("0 all kept changes are in effect", "1 if one is not"),
)
@click.option("--json", "json_", is_flag=True, help="Print one JSON object.")
@click.option("--root", hidden=True, default="/", help="Where run, var and etc are.")
def verify(json_: bool, root: str) -> None:
    """Check that kept changes are still in effect, and will be after a reboot."""
    from sockmon.tuning.helper import drift

    found = drift.find_drift(root)
    if json_:
        click.echo(drift.as_json(found))
    elif not found:
        click.echo("all kept changes are in effect")
    else:
        click.echo("\n".join(drifted.message for drifted in found))
    sys.exit(1 if found else 0)


def format_proposal(found: Proposal) -> str:
    """Return the proposal as text for a terminal: a page for each change, the rollback, and the commands."""
    from sockmon.cli.text_page import render_page, terminal_width_and_colour
    from sockmon.document import Section
    from sockmon.tuning.planning.proposal_pages import command_lines, pages

    printed = []
    for title, what, sections in pages(found):
        if sections:
            what, sections = "", (Section("Change", (what,)), *sections)
        printed.append(render_page(title, what, sections, *terminal_width_and_colour()).rstrip())
    return "\n\n".join([*printed, "\n".join(command_lines(found))]).rstrip()


def parse_assignments(settings: tuple[str, ...]) -> dict[str, str]:
    """Return the values by key; raise Misuse if one is not KEY=VALUE, or if a key has two different values."""
    wanted: dict[str, str] = {}
    for setting in settings:
        # The path of a cgroup may have the sign, its value never.
        name, equals, value = setting.rpartition("=") if "@/" in setting else setting.partition("=")
        if not equals:
            raise Misuse(f"`{sanitize(setting)}` is not KEY=VALUE", "for example: net.core.somaxconn=8192")
        key = _current_key(name)
        if wanted.setdefault(key, value) != value:
            raise Misuse(f"{sanitize(key)} is given twice, with different values")
    return wanted


def _current_key(name: str) -> str:
    """Return the key of a setting that `name` means today; report on standard error if it has been renamed.

    Raise NoSuchName, or NotTuned for a key that sockmon does not change."""
    from sockmon.cli.names import find_key
    from sockmon.tuning.planning.naming import setting_of

    named = find_key(name)
    key, _ = setting_of(named)
    if key != named.key:
        console.print_notice(f"{named.key} is now called {key}")
    return key


def planning_context(wanted: Iterable[str], netns: str | None) -> PlanContext:
    """Return the context of a plan for the keys of `wanted`: the values now, the listeners, the files at boot."""
    return context_and_observation(wanted, netns)[0]


def context_and_observation(wanted: Iterable[str], netns: str | None) -> tuple[PlanContext, Observation]:
    """Return the same with the sample that it is made from."""
    from sockmon.cli.explain import observe
    from sockmon.tuning.planning.plan import keys_to_read

    now = observe(netns)
    if now.unavailable_reason:
        console.print_notice(f"the plan does not know who listens: {now.unavailable_reason}")
    return _read_context(keys_to_read(wanted), netns, now), now


def _read_context(keys: list[str], netns: str | None, now: Observation) -> PlanContext:
    """Return what was observed with the values of `keys`, and what a reboot does to them."""
    from dataclasses import replace

    from sockmon.kernel.limit_origin.configured import find_configured
    from sockmon.tunables import row_of
    from sockmon.tuning.boot.forecast import boot_forecasts
    from sockmon.tuning.helper.sysctl_reader import read_settings
    from sockmon.tuning.planning.advice import alternatives
    from sockmon.tuning.planning.context import PlanContext
    from sockmon.tuning.planning.step import NR_OPEN
    from sockmon.tuning.transaction.confinement import state_root

    settings = read_settings(keys, netns)
    # The files of sysctl.d are applied in the initial namespace only.
    at_boot = [key for key in keys if not (netns and row_of(key).scope == "netns")]
    root = "/"
    with suppress(TuningError):
        root = state_root()
    configured = find_configured("nofile", root) if NR_OPEN in keys else None
    settings = replace(settings, forecasts=boot_forecasts(at_boot, root), configured_limits=configured)
    return PlanContext.of(settings, now.snapshot, alternatives(now.report))
