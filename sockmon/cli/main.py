"""The command line. A verb imports what it needs inside its function, so that `check` does not load Textual."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import NoReturn

import click

from sockmon import __version__, log
from sockmon.cli import console, tune_apply, usage
from sockmon.cli.export import export
from sockmon.cli.fleet import fleet
from sockmon.cli.guide import guide
from sockmon.cli.intended import intended
from sockmon.cli.lab import lab
from sockmon.cli.prove import prove
from sockmon.cli.tune import tune
from sockmon.cli.tune_forget import forget
from sockmon.errors import Misuse, SockmonError, TuningError


@click.group(
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog=usage.exit_codes(
        "0 after you quit",
        "1 if the screen could not start, or the data ended before the first sample",
        "75 if there are too few free processes",
        "77 if the screen could not give up its privilege",
    ),
)
@click.option(
    "--from",
    "source",
    metavar="FILE|ssh://[USER@]HOST[:PORT]|-",
    help="Show a recording, or another host over ssh.",
)
@usage.netns_option
@usage.interval_option
@click.option("--theme", metavar="NAME", help="Use this theme: the name of a file in themes/, without .toml.")
@click.option("--read-only", is_flag=True, help="Disable all changes.")
@click.option(
    "--push",
    is_flag=True,
    help="With --from ssh://HOST: send the agent to HOST, which needs python3 alone; nothing of it stays there.",
)
@click.option("--debug", is_flag=True, help="Write everything to the log, not only warnings and faults.")
@click.option("--opened-by-fleet", "opener", type=int, hidden=True, help="Tell this descriptor how it ended.")
@click.option("--story", hidden=True, help="Show this text above the board: what happens, and what to watch.")
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def sockmon(
    context: click.Context,
    source: str | None,
    netns: str | None,
    interval: float | None,
    theme: str | None,
    read_only: bool,
    push: bool,
    debug: bool,
    opener: int | None,
    story: str | None,
) -> None:
    """Show which limit this Linux server hits next, what uses it up, and how long is left.

    Without a command, open the live screen."""
    if debug:
        os.environ[log.DEBUG] = "1"
    log.start(context.invoked_subcommand or "screen")
    context.ensure_object(dict)["verb"] = context.invoked_subcommand or ""
    if context.invoked_subcommand is None:
        from sockmon.cli.screen import open_screen, telling

        with telling(opener) as on_return:
            open_screen(source, netns, interval, theme, read_only, story or "", push, on_return)
    elif source or netns or interval or theme or read_only or story or push:
        raise click.UsageError(
            f"put options after the command: sockmon {context.invoked_subcommand} ...\n"
            "the options before it are for the screen"
        )
    elif context.invoked_subcommand in (tune.name, guide.name):
        _recover_interrupted_changes()


def _recover_interrupted_changes() -> None:
    """Roll back or finish, and report, changes whose guard was killed; at every start as root."""
    if os.geteuid() != 0:
        return
    from sockmon.tuning.transaction.recovery import describe, recover_at_start

    try:
        for found in recover_at_start():
            console.print_notice(describe(found))
    except (TuningError, OSError) as error:
        console.print_notice(f"interrupted changes could not be recovered: {error}")


@sockmon.command(
    epilog=usage.exit_codes(
        "0 ok", "1 warning", "2 critical or hit", "3 unknown, or nothing could be read", fault=False
    )
)
@click.option("--json", "json_", is_flag=True, help="Print JSON; its schema is docs/check.schema.json.")
@click.option("--oneline", is_flag=True, help="Print one line with performance data, for a monitoring system.")
@click.option(
    "--watch",
    type=usage.Seconds(0, 3600),
    default=0.0,
    metavar="SECONDS",
    help="Observe for this long before reporting: adds rates, counters that increase, and the time left.",
)
@click.option("--only", multiple=True, metavar="CEILING[,...]", help="Judge these limits only.")
@click.option(
    "--ignore",
    multiple=True,
    metavar="CEILING[:SUBJECT]",
    help="Leave a limit out of the verdict, or those of its subjects that match a shell pattern; may be repeated.",
)
@click.option(
    "--netns",
    multiple=True,
    metavar="NAME|PID|PATH|PATTERN",
    help="Judge this network namespace, and those of other --netns: by its name, or that of the container, pod,"
    " machine or unit in it, the PID of a process in it, a path, or a shell pattern of names such as 'shop/*'."
    " By default all of the host are judged.",
)
@click.option("--here", is_flag=True, help="Judge the network namespace alone that sockmon is started in.")
@click.option("--from", "recording", metavar="FILE", help="Report the state at the end of a recording.")
def check(
    json_: bool,
    oneline: bool,
    watch: float,
    only: tuple[str, ...],
    ignore: tuple[str, ...],
    netns: tuple[str, ...],
    here: bool,
    recording: str | None,
) -> None:
    """Print one report of every limit in all network namespaces of this host, the most urgent first."""
    from sockmon.assess.selection import parse_selection
    from sockmon.cli.check import EXIT_CODES, report_for, shown

    if recording and (watch or netns or here):
        raise click.UsageError("--watch, --netns and --here cannot be combined with --from")
    if netns and here:
        raise click.UsageError("--netns cannot be combined with --here")
    if json_ and oneline:
        raise click.UsageError("--json cannot be combined with --oneline")
    selection = parse_selection(only, ignore)
    if not recording:
        _recover_interrupted_changes()
    try:
        found = report_for(netns, watch, recording, selection, here)
    except SockmonError as error:
        if oneline:
            from sockmon.cli.oneline import failed

            click.echo(failed(error.message))
        raise
    click.echo(shown(found, json_, oneline, netns, recording), color=True)
    sys.stdout.flush()
    sys.exit(EXIT_CODES[found.verdict])


@sockmon.command(
    name="explain",
    short_help="Explain a limit, number, error or counter, using this machine's values.",
    epilog=usage.exit_codes("0 explained", "1 if the namespace could not be read"),
)
@click.argument("what", nargs=-1, metavar="[CEILING|SYSCTL|NUMBER|ERROR|COUNTER]")
@click.option("--json", "json_", is_flag=True, help="Print one JSON object.")
@usage.netns_option
def explain_(what: tuple[str, ...], json_: bool, netns: str | None) -> None:
    """Explain a limit, sysctl, number, error or counter: what it is, its symptoms, how to raise it, and this
    machine's values. Without an argument, list everything that can be explained."""
    from sockmon.cli.explain import explain
    from sockmon.cli.text_page import render_page, terminal_width_and_colour
    from sockmon.explain.explanation import as_json, index

    found = explain(" ".join(what), netns) if what else index()
    text = (
        as_json(found)
        if json_
        else render_page(found.title, found.what, found.sections, *terminal_width_and_colour())
    )
    click.echo(text, color=True)


@sockmon.command(
    short_help="Print the stream of samples, one JSON object a line.",
    epilog=usage.exit_codes("0 when the reader closes the stream", "1 if nothing could be read"),
)
@usage.interval_option
@usage.netns_option
@click.option("--attached", is_flag=True, help="End when standard input ends.")
def agent(interval: float | None, netns: str | None, attached: bool) -> None:
    """Print the stream of samples, one JSON object a line, and answer requests from standard input."""
    from sockmon.cli.agent import serve

    serve(interval or 1.0, netns, attached)


@sockmon.command(
    short_help="Write the samples to FILE, until Ctrl-C.",
    epilog=usage.exit_codes(
        "0 recorded", "1 if FILE exists, samples could not be written, or nothing could be read"
    ),
)
@click.argument("file")
@usage.interval_option
@click.option("--for", "seconds", type=usage.Seconds(min=0), metavar="SECONDS", help="Stop after this long.")
@usage.netns_option
def record(file: str, interval: float | None, seconds: float | None, netns: str | None) -> None:
    """Write the samples to FILE, until Ctrl-C; `sockmon --from FILE` shows them."""
    from sockmon.agent.sampler import open_sampler
    from sockmon.cli.record import Recording
    from sockmon.cli.record import record as write

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with open_sampler(netns, interval or 1.0) as kernel, Recording(file, console.try_print_message) as out:
        try:
            write(kernel, out, seconds)
        except KeyboardInterrupt:
            console.try_print_message("")
    console.try_print_message(f"show it with: sockmon --from {file}")
    sys.exit(1 if out.lost else 0)


for verb in (*tune_apply.VERBS, forget):
    tune.add_command(verb)
sockmon.add_command(tune)
sockmon.add_command(export)
sockmon.add_command(fleet)
sockmon.add_command(guide)
sockmon.add_command(lab)
sockmon.add_command(prove)


def main() -> NoReturn:
    """Run a verb, and print every error with its exit code: the console script."""
    console.open_standard_streams()
    # If the program that starts us ignores it, the kernel forgets how our children have ended (wait(2), ECHILD).
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    # ps and top then show sockmon, not python.
    with suppress(OSError), open("/proc/self/comm", "w") as comm:
        comm.write("sockmon")
    started: dict[str, str] = {}
    code = _run(started)
    # 1 means a warning for `check` and `fleet`; after a failure the state of the host, or of all, is unknown.
    failed = code not in (usage.OK, usage.MISUSE, usage.INTERRUPTED)
    sys.exit(usage.UNKNOWN if failed and started.get("verb") in ("check", "fleet") else code)


def _run(started: dict[str, str]) -> int:
    """Run the verb, put its name into `started`, and return its exit code or that of its error."""
    try:
        sockmon.main(prog_name="sockmon", standalone_mode=False, obj=started)
        return usage.OK
    except click.UsageError as error:
        console.print_usage_error(error)
        console.print_intended(intended(sys.argv[1:], sockmon))
        return usage.MISUSE
    except click.ClickException as error:
        console.print_notice(error.format_message())
        return usage.FAILED
    except Misuse as error:
        code = console.print_error(error)
        console.print_intended(intended(sys.argv[1:], sockmon))
        return code
    except (Exception, KeyboardInterrupt) as error:
        return console.exit_code(error)
