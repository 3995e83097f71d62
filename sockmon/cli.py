"""Verbs and flags. What a verb needs is imported inside the verb: `check` must not wait for Textual."""

from __future__ import annotations

import io
import os
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn

import click

from sockmon import __version__, tune_held
from sockmon.errors import NotTuned, SockmonError
from sockmon.model.clean import clean
from sockmon.prove import prove
from sockmon.tune import tune

if TYPE_CHECKING:
    from sockmon.tuning.desk import Desk

UNKNOWN_EXIT, FAULT_EXIT = 3, 70
LONGEST_WORDS = 2000
NETNS_HELP = "A network namespace: its name, a PID that lives in it, or a path."


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--from", "source", metavar="FILE|ssh://HOST|-", help="Show a recording, or another host.")
@click.option("--netns", metavar="NAME|PID|PATH", help=NETNS_HELP)
@click.option("--interval", type=click.FloatRange(0.2, 60), help="Seconds between looks (default 1).")
@click.option("--theme", metavar="NAME", help="A theme: the stem of a file in themes/.")
@click.option("--read-only", is_flag=True, help="Hide everything that writes.")
@click.option("--story", hidden=True, help="What this is about, in two lines: what happens, what to look for.")
@click.version_option(__version__, message="%(version)s")
@click.pass_context
def sockmon(
    context: click.Context,
    source: str | None,
    netns: str | None,
    interval: float | None,
    theme: str | None,
    read_only: bool,
    story: str | None,
) -> None:
    """Which limit this Linux server hits next, who is eating it, and how long is left.

    Without a verb: the screen, live."""
    if context.invoked_subcommand is None:
        _screen(source, netns, interval, theme, read_only, story or "")
    elif source or netns or interval or theme or read_only or story:
        raise click.UsageError("these options belong to the screen; give the verb its own behind it")
    elif context.invoked_subcommand == tune.name:
        _put_right()


def _screen(
    spec: str | None, netns: str | None, interval: float | None, theme: str | None, read_only: bool, story: str
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
    desk, no_desk = _desk(spec, netns, read_only)
    privileges.drop()
    from sockmon.terminal import kept

    with kept():
        from sockmon.ui.run import run

        code = run(source, theme, interval, read_only, story, desk, no_desk)
    sys.exit(code)


def _desk(spec: str | None, netns: str | None, read_only: bool) -> tuple[Desk | None, str]:
    """The process that keeps the privilege to change things, or why there is none."""
    if read_only:
        return None, "it was started read-only"
    if spec is not None:
        return None, "this is another host" if spec.startswith("ssh://") else "this is a recording"
    from sockmon.tuning.desk import open_desk

    try:
        return open_desk(netns), ""
    except NotTuned as error:
        return None, error.message


def _put_right() -> None:
    """What every start with the privilege does: bring to its end what killed guards left behind, and say so."""
    if os.geteuid() != 0:
        return
    from sockmon.tuning.recover import in_words, recover_at_start

    try:
        for found in recover_at_start():
            _say(f"sockmon: {in_words(found)}")
    except (NotTuned, OSError) as error:
        _say(f"sockmon: what killed guards may have left could not be looked at: {error}")


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
@click.option("--from", "recording", metavar="FILE", help="Report on the end of a recording.")
def check(json_: bool, watch: float, netns: str | None, recording: str | None) -> None:
    """One report. Exit 0 ok, 1 warning, 2 critical or hit, 3 unknown."""
    from sockmon.check import EXIT, PLAN, as_json, as_text, replayed, report
    from sockmon.page import paper

    if recording and (watch or netns):
        raise click.UsageError("--watch and --netns go with the live host, not with --from")
    if not recording:
        _put_right()
    found = replayed(recording) if recording else report(netns, watch)
    columns, colour = paper()
    width = columns if sys.stdout.isatty() else None
    plan = "" if recording else f"{PLAN} --netns {shlex.quote(netns)}" if netns else PLAN
    click.echo(as_json(found) if json_ else as_text(found, colour, width, plan), color=True)
    sys.stdout.flush()
    sys.exit(EXIT[found.verdict])


@sockmon.command(name="explain", short_help="A ceiling, number, error or counter, and this machine.")
@click.argument("what", nargs=-1, metavar="CEILING|SYSCTL|NUMBER|ERROR|COUNTER")
@click.option("--json", "json_", is_flag=True, help="One object with the same words.")
@click.option("--netns", metavar="NAME|PID|PATH", help=NETNS_HELP)
def explain_(what: tuple[str, ...], json_: bool, netns: str | None) -> None:
    """What it is, how it shows, how to raise it, and what this machine has. Alone: all that can be explained."""
    from sockmon.explain import as_json, everything, explain
    from sockmon.page import page, paper

    found = explain(" ".join(what), netns, _lab_commands()) if what else everything()
    text = as_json(found) if json_ else page(found.title, found.what, found.sections, *paper())
    click.echo(text, color=True)


def _lab_commands() -> dict[str, list[str]]:
    """The labs that reach each ceiling, as commands."""
    from sockmon.labs import LABS

    commands: dict[str, list[str]] = {}
    for lab in LABS:
        if lab.ceiling:
            commands.setdefault(lab.ceiling, []).append(f"sockmon lab run {lab.name}: {lab.does}")
    return commands


@sockmon.command(short_help="The stream of Snapshots, one JSON object a line.")
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


@sockmon.command(short_help="Write the stream to FILE, until Ctrl-C.")
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


@sockmon.group(short_help="Every ceiling brought about, in private namespaces.")
def lab() -> None:
    """Every ceiling brought about for real, in private namespaces that leave nothing behind."""


@lab.command("list")
@click.option("--json", "json_", is_flag=True, help="One array of objects.")
def lab_list(json_: bool) -> None:
    """All labs, the ceiling that each reaches, and why one cannot run here."""
    from sockmon.labs.listing import as_json, as_text

    click.echo(as_json() if json_ else as_text(_width() if sys.stdout.isatty() else None))


@lab.command("run", context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("name")
@click.argument("verb", nargs=-1, type=click.UNPROCESSED)
def lab_run(name: str, verb: tuple[str, ...]) -> None:
    """Build the lab NAME and open the screen on it, or run another VERB there.

    \b
    sockmon lab run process-fds
    sockmon lab run process-fds -- check --json

    The exit code is the verb's."""
    from sockmon.labs import find
    from sockmon.labs.running import running

    wanted = find(name)
    verb = verb[1:] if verb[:1] == ("--",) else verb
    if not verb:
        _require_terminal()
    elif not verb[0].startswith("-"):
        # A slip of the pen is told before a large lab is built.
        sockmon.resolve_command(click.get_current_context().find_root(), list(verb))
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with _bar() as progress, running(wanted, progress) as world:
        if sys.stderr.isatty():
            progress(0.0, "")
            click.echo(wanted.story, err=True)
        if world.instead:
            click.echo(f"sockmon: {world.instead}, so this is the recording of a real run", err=True)
        if not world.isolated:
            click.echo("sockmon: no /proc of its own here, so other processes are to be seen too", err=True)
        code = world.call(*verb)
    sys.exit(code)


for verb in tune_held.VERBS:
    tune.add_command(verb)
sockmon.add_command(tune)
sockmon.add_command(prove)


@contextmanager
def _bar() -> Iterator[Callable[[float, str], None]]:
    """Draws how much of something stands on a line of the terminal; without words the line is empty again."""
    drawn = 0.0

    def draw(fraction: float, words: str) -> None:
        nonlocal drawn
        now = time.monotonic()
        # Whoever builds tells more often than a slow terminal could show.
        if sys.stderr.isatty() and (not words or now > drawn + 0.1):
            filled = round(fraction * 20)
            line = f"{'#' * filled}{'.' * (20 - filled)} {words}"[: _width() - 1] if words else ""
            click.echo(f"\r\x1b[K{line}", err=True, nl=False)
            drawn = now if words else 0.0

    try:
        yield draw
    finally:
        if drawn:
            draw(0.0, "")


def _width() -> int:
    return shutil.get_terminal_size().columns


def _open_standard_streams() -> None:
    """Those that were closed lead nowhere: nothing else may be opened in their place."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None and os.open(os.devnull, os.O_RDWR) == number:
            setattr(sys, name, os.fdopen(number, "r" if number == 0 else "w", closefd=False))


def _say(words: str) -> None:
    """On standard error; it may quote what somebody else has written."""
    click.echo(clean(words, LONGEST_WORDS), err=True)


def main() -> NoReturn:
    """The console script: runs a verb, and turns every error into words on stderr and an exit code."""
    failure = UNKNOWN_EXIT if "check" in sys.argv[1:2] else 1
    _open_standard_streams()
    # Whoever looks at processes, with sockmon or without, should see sockmon and not a Python.
    with suppress(OSError), open("/proc/self/comm", "w") as comm:
        comm.write("sockmon")
    try:
        sockmon.main(prog_name="sockmon", standalone_mode=False)
    except click.ClickException as error:
        words = io.StringIO()
        error.show(words)
        for line in words.getvalue().rstrip().split("\n"):
            _say(line)
        sys.exit(UNKNOWN_EXIT if failure == UNKNOWN_EXIT else error.exit_code)
    except SockmonError as error:
        _say(f"sockmon: {error.message}")
        if error.hint:
            _say(f"  {error.hint}")
        sys.exit(failure)
    except (KeyboardInterrupt, click.Abort):
        sys.exit(130)
    except OSError as error:
        # Nothing more can be written there; the interpreter must not complain about it while it flushes.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if not isinstance(error, BrokenPipeError):
            _say(f"sockmon: {error.strerror or error}")
        sys.exit(failure)
    except Exception as error:
        # A script must not take a fault of ours for a warning about the host.
        _say(f"sockmon: {type(error).__name__}: {error}")
        if "SOCKMON_DEBUG" in os.environ:
            raise
        sys.exit(UNKNOWN_EXIT if failure == UNKNOWN_EXIT else FAULT_EXIT)
    sys.exit(0)
