"""Verbs and flags. What a verb needs is imported inside the verb: `check` must not wait for Textual."""

from __future__ import annotations

import os
import signal
import sys
from typing import NoReturn

import click

from sockmon import __version__
from sockmon.errors import SockmonError

UNKNOWN_EXIT, FAULT_EXIT = 3, 70
NETNS_HELP = "A network namespace: its name, a PID that lives in it, or a path."


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--from", "source", metavar="FILE|ssh://HOST|-", help="Show a recording, or another host.")
@click.option("--netns", metavar="NAME|PID|PATH", help=NETNS_HELP)
@click.option("--interval", type=click.FloatRange(0.2, 60), help="Seconds between looks (default 1).")
@click.option("--theme", metavar="NAME", help="A theme: the stem of a file in themes/.")
@click.option("--read-only", is_flag=True, help="Hide everything that writes.")
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def sockmon(
    context: click.Context,
    source: str | None,
    netns: str | None,
    interval: float | None,
    theme: str | None,
    read_only: bool,
) -> None:
    """Which limit this Linux server hits next, who is eating it, and how long is left.

    Without a verb: the screen, live."""
    if context.invoked_subcommand is None:
        _screen(source, netns, interval, theme, read_only)
    elif source or netns or interval or theme or read_only:
        raise click.UsageError("these options belong to the screen; give the verb its own behind it")


def _screen(
    spec: str | None, netns: str | None, interval: float | None, theme: str | None, read_only: bool
) -> None:
    _require_terminal()
    if spec and netns:
        raise SockmonError("--netns goes with the live host, not with --from")
    from sockmon import privileges
    from sockmon.sources import open_source

    # The agent keeps the privileges that it needs; the screen, which shows foreign text, keeps none.
    source = open_source(spec, interval or 1.0, netns)
    if spec == "-" or not sys.stdin.isatty():
        _keyboard_from_terminal()
    privileges.drop()
    from sockmon.terminal import kept

    with kept():
        from sockmon.ui.run import run

        code = run(source, theme=theme, interval=interval, read_only=read_only)
    sys.exit(code)


def _require_terminal() -> None:
    hint = "for one report without a screen use: sockmon check"
    # Textual draws on standard error, so that must be a terminal too.
    for name, stream in (("output", sys.stdout), ("error", sys.stderr)):
        if not stream.isatty():
            raise SockmonError(f"the screen needs a terminal, and standard {name} is none", hint)
    if os.environ.get("TERM", "dumb") in ("", "dumb"):
        raise SockmonError(
            "the screen needs a terminal that can move its cursor, and TERM is dumb or not set", hint
        )


def _keyboard_from_terminal() -> None:
    """Standard input is the stream: read keys from the terminal itself."""
    try:
        terminal = os.open("/dev/tty", os.O_RDWR)
    except OSError as error:
        raise SockmonError(f"there is no terminal to read keys from: {error.strerror}") from error
    os.dup2(terminal, 0)
    os.close(terminal)


@sockmon.command()
@click.option("--json", "json_", is_flag=True, help="The contract of docs/check.schema.json.")
@click.option(
    "--watch", type=click.FloatRange(0, 3600), default=0.0, metavar="SECONDS", help="Look that long first."
)
@click.option("--netns", metavar="NAME|PID|PATH", help=NETNS_HELP)
def check(json_: bool, watch: float, netns: str | None) -> None:
    """One report. Exit 0 ok, 1 warning, 2 critical or hit, 3 unknown."""
    from sockmon.check import EXIT, as_json, as_text, report

    found = report(netns, watch)
    colour = sys.stdout.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    click.echo(as_json(found) if json_ else as_text(found, colour), color=True)
    sys.stdout.flush()
    sys.exit(EXIT[found.verdict])


@sockmon.command()
@click.option(
    "--interval", type=click.FloatRange(0.2, 60), default=1.0, metavar="SECONDS", help="Between Snapshots."
)
@click.option("--netns", metavar="NAME|PID|PATH", help=NETNS_HELP)
@click.option("--attached", is_flag=True, help="End when standard input ends.")
def agent(interval: float, netns: str | None, attached: bool) -> None:
    """The stream of Snapshots, one JSON object a line; requests on standard input."""
    from sockmon.agent.sampler import open_sampler
    from sockmon.agent.serve import Serve

    with open_sampler(netns, interval) as kernel:
        Serve(kernel, attached=attached).run()


@sockmon.command()
@click.argument("file")
@click.option(
    "--interval", type=click.FloatRange(0.2, 60), default=1.0, metavar="SECONDS", help="Between Snapshots."
)
@click.option("--for", "seconds", type=click.FloatRange(min=0), metavar="SECONDS", help="Stop by itself.")
@click.option("--netns", metavar="NAME|PID|PATH", help=NETNS_HELP)
def record(file: str, interval: float, seconds: float | None, netns: str | None) -> None:
    """Write the stream to FILE, until Ctrl-C; look at it with `sockmon --from FILE`."""
    from sockmon.agent.sampler import open_sampler
    from sockmon.record import Recording
    from sockmon.record import record as write

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with open_sampler(netns, interval) as kernel, Recording(file) as out:
        try:
            write(kernel, out, seconds)
        except KeyboardInterrupt:
            click.echo(err=True)
        click.echo(f"look at it with: sockmon --from {file}", err=True)


def main() -> NoReturn:
    """The console script: runs a verb, and turns every error into words on stderr and an exit code."""
    failure = UNKNOWN_EXIT if "check" in sys.argv[1:2] else 1
    try:
        sockmon.main(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(UNKNOWN_EXIT if failure == UNKNOWN_EXIT else error.exit_code)
    except SockmonError as error:
        click.echo(f"sockmon: {error.message}", err=True)
        if error.hint:
            click.echo(f"  {error.hint}", err=True)
        sys.exit(failure)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    except OSError as error:
        # Nothing more can be written there; the interpreter must not complain about it while it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(error, BrokenPipeError):
            click.echo(f"sockmon: {error.strerror or error}", err=True)
        sys.exit(failure)
    except Exception as error:
        # A script must not take a fault of ours for a warning about the host.
        click.echo(f"sockmon: {type(error).__name__}: {error}", err=True)
        if "SOCKMON_DEBUG" in os.environ:
            raise
        sys.exit(UNKNOWN_EXIT if failure == UNKNOWN_EXIT else FAULT_EXIT)
    sys.exit(0)
