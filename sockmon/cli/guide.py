"""`sockmon guide`: lists the guides, and walks through one as text."""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sockmon import free_tasks, new_file
from sockmon.cli import console, usage

if TYPE_CHECKING:
    from sockmon.guides import Guide
    from sockmon.guides.walk import Walk


@click.command(
    short_help="Go from a symptom to the limit, the remedy and the proof, step by step.",
    epilog=usage.exit_codes("0 listed, or walked to an end", "1 if it could not be read, changed or written"),
)
@click.argument("name", required=False)
@click.argument("number", required=False)
@click.option("--lab", is_flag=True, help="Walk on the guide's lab: a private namespace, with nothing at stake.")
@click.option("--from", "source", metavar="FILE|ssh://[USER@]HOST[:PORT]", help="Use a recording or another host.")
@click.option(
    "--push",
    is_flag=True,
    help="With --from ssh://HOST: send the agent to HOST, which needs python3 alone; nothing of it stays there.",
)
@usage.netns_option
@click.option("--yes", is_flag=True, help="Make the change without confirmation, and keep it if it is verified.")
@click.option("--json", "json_", is_flag=True, help="Print JSON; its schema is docs/guide.schema.json.")
@click.option("--examples", is_flag=True, help="Print the guide's examples for each application, and exit.")
@click.option(
    "--keep-no-progress", hidden=True, is_flag=True, help="Neither resume a walk nor keep how far it is."
)
@click.option("--report", metavar="FILE", help="Write the summary of the walk to a new file, as Markdown.")
def guide(
    name: str | None,
    number: str | None,
    lab: bool,
    source: str | None,
    push: bool,
    netns: str | None,
    yes: bool,
    json_: bool,
    examples: bool,
    keep_no_progress: bool,
    report: str | None,
) -> None:
    """Walk through the guide NAME on live data: from the symptom to the limit, to the remedy, through the change,
    to the proof that it helped. Without NAME, list the guides, those that fit this host first.

    NUMBER is where something stops growing, or how many connections a host has to hold, for a guide that asks for
    it. On a terminal you take each step; otherwise the evidence does.

    \b
    sockmon guide stuck-at-n 32720
    sockmon guide cannot-assign-address --lab"""
    if source and (netns or lab or yes):
        raise click.UsageError("--netns, --lab and --yes cannot be combined with --from")
    if push and not (source and source.startswith("ssh://")):
        raise click.UsageError("--push needs --from ssh://HOST")
    if lab and netns:
        raise click.UsageError("--netns cannot be combined with --lab")
    if name is None:
        if lab or report or yes or examples:
            raise click.UsageError("--lab, --report, --yes and --examples need the NAME of a guide")
        _list(source, push, netns, json_)
        return
    from sockmon.guides import find_guide

    found = find_guide(name)
    _check_number(found, number)
    if examples:
        _print_examples(found)
        return
    if lab:
        sys.exit(_on_lab(found, number, yes, json_, report))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    _walk(found, number or "", source, push, netns, yes, json_, report, not keep_no_progress)


def _print_examples(found: Guide) -> None:
    from sockmon.cli.guide_text import all_examples

    click.echo("\n".join(all_examples(found, console.width())))


def _check_number(found: Guide, number: str | None) -> None:
    from sockmon.explain.plateaus import parse

    if number is not None and not found.asks_number:
        raise click.UsageError(f"{found.name} takes no number")
    if number is not None and parse(number) is None:
        raise click.UsageError(f"{number!r} is not a number such as {found.shown_examples}")


def _list(source: str | None, pushed: bool, netns: str | None, json_: bool) -> None:
    from sockmon.cli.guide_samples import open_samples
    from sockmon.cli.guide_text import list_lines
    from sockmon.document import json_text
    from sockmon.guides import GUIDES
    from sockmon.guides.facts import Facts
    from sockmon.guides.fitting import fitting
    from sockmon.guides.report import guide_list
    from sockmon.model.snapshot import OTHER_NETNS

    with open_samples(source, netns, pushed) as samples:
        facts = Facts(samples.first, samples.place)
    if json_:
        click.echo(json_text(guide_list(facts)))
    else:
        missing = facts.now.report.missing
        others = next((entry.unjudged for entry in missing if entry.reader == OTHER_NETNS), "")
        click.echo("\n".join(list_lines(fitting(GUIDES, facts), console.width(), facts.place.options, others)))


def _walk(
    found: Guide,
    number: str,
    source: str | None,
    pushed: bool,
    netns: str | None,
    yes: bool,
    json_: bool,
    report: str | None,
    resumes: bool,
) -> None:
    from sockmon.cli.guide_progress import KeptProgress
    from sockmon.cli.guide_samples import open_samples
    from sockmon.cli.guide_walk import EvidenceWalk, TerminalWalk
    from sockmon.document import json_text
    from sockmon.guides.report import walk_report
    from sockmon.guides.walk import Walk

    interactive = sys.stdin.isatty() and sys.stdout.isatty() and not (json_ or yes)
    kept = KeptProgress(found) if interactive and resumes else None
    with open_samples(source, netns, pushed) as samples:
        # Before anything is changed; a source that cannot be read leaves no empty file.
        file = new_file.create(report) if report else None
        walk = kept.resume(samples, number) if kept else None
        if walk is None:
            number = number or (_ask_number(found) if interactive else "")
            walk = Walk(found, samples.first, samples.place, number)
        try:
            if interactive:
                TerminalWalk(walk, samples, console.width(), kept).run()
            else:
                EvidenceWalk(walk, samples, yes, console.width(), quiet=json_).run()
        finally:
            # After Ctrl-C too: what was seen and changed until then belongs into the note.
            if file is not None:
                _write_report(file, walk)
    if json_:
        click.echo(json_text(walk_report(walk)))


def _ask_number(found: Guide) -> str:
    if not found.asks_number:
        return ""
    number: str = click.prompt(found.question, default="", show_default=False, prompt_suffix=" ")
    if number:
        _check_number(found, number)
    return number


def _write_report(file: int, walk: Walk) -> None:
    from sockmon.guides.summary import summary
    from sockmon.tuning.transaction.actor import current_actor

    with os.fdopen(file, "w", encoding="utf-8") as out:
        out.write(summary(walk, current_actor()))


def _on_lab(found: Guide, number: str | None, yes: bool, json_: bool, report: str | None) -> int:
    """Build the lab of the guide, and walk inside it."""
    from sockmon.cli.text_page import wrap
    from sockmon.labs import find_lab
    from sockmon.sandbox.session import run_lab

    scenario = find_lab(found.lab)
    expected = scenario.expect_first.limit if scenario.expect_first else None
    if found.asks_number and number is None and (expected or found.lab_number):
        number = found.lab_number or str(expected[1] if expected else "")
    # The working directory inside is another one.
    path = ["--report", str(Path(report).absolute())] if report else []
    options = ["--keep-no-progress", *(["--json"] if json_ else []), *path]
    free_tasks.require(free_tasks.SANDBOX, "a lab")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with console.progress_bar() as progress, run_lab(scenario, progress) as running:
        if sys.stderr.isatty():
            progress(0.0, "")
        about = (
            f"Lab {scenario.name}: {scenario.scenario} No change in it reaches the host; it ends with the guide."
        )
        click.echo("\n".join(wrap(about, console.width(), 2)), err=True)
        if found.lab_note:
            console.print_notice(found.lab_note)
        if running.lab.recorded:
            reason = running.recording_reason or "the limit is one of the whole host"
            console.print_notice(f"{reason}, so this is a recording of a real run: nothing can be changed")
        elif yes:
            options.append("--yes")
        if not running.isolated:
            console.print_notice("this lab could not mount its own /proc, so host processes are visible too")
        arguments = [found.name, *([number] if number else []), *options]
        return running.run_in_terminal("guide", *arguments)
