"""A wrong command line ends with 64 and a message on stderr for every verb; 0 to 3 of `check` are only
verdicts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import pytest

from docs.make import contexts
from sockmon.cli import usage
from sockmon.cli.intended import intended
from sockmon.cli.main import sockmon as root
from tests.netns import ROOT, child_environment

VERBS = [context for context in contexts() if context.parent]
LEAVES = [context for context in VERBS if not isinstance(context.command, click.Group)]

WRONG_VALUES = {
    "agent": ["--interval", "soon"],
    "check": ["--watch", "-1"],
    "explain": ["nosuchthing"],
    "fleet": ["web-1"],
    "guide": ["nosuchguide"],
    "lab run": ["nosuchlab"],
    "prove": ["nosuchkey"],
    "record": ["x", "--interval", "1e9"],
    "tune apply": ["net.core.somaxconn=8192", "--hold", "1"],
    "tune forget": ["nosuchkey"],
    "tune plan": ["net.core.somaxconn=-1"],
    "tune show": ["nosuchkey"],
    "tune undo": ["--hold", "nan"],
}
"""A value or a name that is not valid, for each verb that takes one."""
TAKES_NO_VALUE = {
    "export dashboard",
    "export rules",
    "lab list",
    "tune history",
    "tune keep",
    "tune list",
    "tune revert",
    "tune verify",
}

MORE = [
    ["export", "--once"],
    ["export", "--listen", ":9768"],
    ["export", "--top", "-1"],
    ["export", "rules", "--docs", "https://x/{{ .Labels }}"],
    ["chekc"],
    ["--nosuch"],
    ["--interval", "0"],
    ["--interval", "soon"],
    ["--interval"],
    ["--netns", "web", "check"],
    ["--from", "x", "check"],
    ["--theme", "fjord", "tune", "list"],
    ["--read-only", "check"],
    ["--debug", "check", "now"],
    ["--from", "x", "--netns", "web"],
    ["check", "now"],
    ["check", "--watch"],
    ["check", "--watch", "soon"],
    ["check", "--watch", "nan"],
    ["check", "--from", "x", "--netns", "web"],
    ["check", "--from", "x", "--watch", "3"],
    ["agent", "--interval", "nan"],
    ["record", "x", "--for", "nan"],
    ["tune"],
    ["tune", "nosuch"],
    ["tune", "show"],
    ["tune", "show", "accept-queue"],
    ["tune", "plan"],
    ["tune", "plan", "net.core.somaxconn"],
    ["tune", "plan", "=1"],
    ["tune", "plan", "net.core.nosuch=1"],
    ["tune", "plan", "nofile=1024"],
    ["tune", "plan", "net.core.somaxconn=many"],
    ["tune", "plan", "somaxconn=1024", "net.core.somaxconn=2048"],
    ["tune", "apply"],
    ["tune", "apply", "max_user_watches=9999"],
    ["tune", "apply", "somaxconn=many", "--yes"],
    ["tune", "keep", "one", "two"],
    ["explain", "max_user_watches"],
    ["explain", "--nosuch"],
    ["prove", "net.core.somaxconn", "more"],
    ["record"],
    ["record", "a", "b"],
    ["lab"],
    ["lab", "run"],
    ["lab", "run", "process-fds", "--", "chekc"],
]


def sockmon(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sockmon", *argv]
    return subprocess.run(
        command, capture_output=True, text=True, env=child_environment(), stdin=subprocess.DEVNULL, timeout=120
    )


def misuse(argv: list[str]) -> None:
    done = sockmon(*argv)
    assert done.returncode == usage.MISUSE, (argv, done.stderr)
    assert done.stdout == ""
    assert done.stderr.strip()
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("argv", MORE, ids=" ".join)
def test_misuse_ends_with_64(argv: list[str]) -> None:
    misuse(argv)


@pytest.mark.parametrize("context", VERBS, ids=lambda context: context.command_path)
def test_an_unknown_option_of_any_verb(context: click.Context) -> None:
    if context.command_path != "sockmon lab run":  # what it does not know belongs to the command that runs there
        misuse([*context.command_path.split()[1:], "--no-such-option"])


@pytest.mark.parametrize("context", LEAVES, ids=lambda context: context.command_path)
def test_a_wrong_value_or_name_of_any_verb(context: click.Context) -> None:
    verb = context.command_path.removeprefix("sockmon ")
    assert (verb in WRONG_VALUES) != (verb in TAKES_NO_VALUE), "say which value of it can be wrong"
    if verb in WRONG_VALUES:
        misuse([*verb.split(), *WRONG_VALUES[verb]])


@pytest.mark.parametrize("context", LEAVES, ids=lambda context: context.command_path)
def test_a_missing_or_an_extra_argument_of_any_verb(context: click.Context) -> None:
    verb = context.command_path.split()[1:]
    arguments = [each for each in context.command.params if isinstance(each, click.Argument)]
    if any(each.required for each in arguments):
        misuse(verb)
    if all(each.nargs == 1 for each in arguments):
        misuse([*verb, *("x" for _ in range(len(arguments) + 1))])


@pytest.mark.parametrize("context", list(contexts()), ids=lambda context: context.command_path)
def test_the_help_of_every_verb_states_its_exit_codes(context: click.Context) -> None:
    shown = sockmon(*context.command_path.split()[1:], "--help")
    assert shown.returncode == 0
    if not isinstance(context.command, click.Group) or context.parent is None:
        assert "Exit code: " in shown.stdout
        assert "64 if the command line is wrong" in " ".join(shown.stdout.split())


def test_check_that_can_see_nothing_is_unknown_with_a_reason(tmp_path: Path) -> None:
    torn = tmp_path / "torn.jsonl"
    torn.write_bytes(b'{"type":"snapsh')
    wrong = [["--netns", "nosuch"], ["--netns", "999999999"], ["--from", "/nonexistent"], ["--from", str(torn)]]
    for argv in [*wrong, ["--from", str(tmp_path)]]:
        done = sockmon("check", *argv)
        assert (done.returncode, done.stdout) == (usage.UNKNOWN, ""), argv
        assert done.stderr.startswith("sockmon: ")


def test_a_refused_change_is_not_misuse() -> None:
    done = sockmon("tune", "plan", "tcp_tw_recycle=1")
    assert (done.returncode, done.stdout) == (1, "")
    assert "cannot be set" in done.stderr


def test_check_keeps_its_verdicts() -> None:
    done = sockmon("check", "--json")
    assert done.returncode == {"ok": 0, "warning": 1, "critical": 2, "hit": 2}[json.loads(done.stdout)["verdict"]]


@pytest.mark.parametrize(
    ("argv", "meant"),
    [
        ("somaxconn", "sockmon explain somaxconn"),
        ("accept-queue", "sockmon explain accept-queue"),
        ("EAGAIN", "sockmon explain EAGAIN"),
        ("32720", "sockmon explain 32720"),
        ("somaxconn=8192", "sockmon tune plan somaxconn=8192"),
        ("plan somaxconn=8192", "sockmon tune plan somaxconn=8192"),
        ("run accept-queue", "sockmon lab run accept-queue"),
        ("ssh://web-1", "sockmon --from ssh://web-1"),
        ("lab accept-queue", "sockmon lab run accept-queue"),
        ("tune plan somaxconn 8192", "sockmon tune plan somaxconn=8192"),
        ("tune apply somaxconn 8192", "sockmon tune apply somaxconn=8192"),
        ("tune plan ip_local_port_range 1024 65535", "sockmon tune plan 'ip_local_port_range=1024 65535'"),
        ("tune somaxconn=8192", "sockmon tune plan somaxconn=8192"),
        ("tune somaxconn 8192", "sockmon tune plan somaxconn=8192"),
        ("tune set somaxconn 8192", "sockmon tune plan somaxconn=8192"),
        ("tune somaxconn", "sockmon tune show somaxconn"),
        ("check accept-queue process-fds", "sockmon check --only accept-queue,process-fds"),
        ("check tests/conftest.py", "sockmon check --from tests/conftest.py"),
        ("nosuchthing", ""),
        ("tune nosuch", ""),
        ("lab nosuch", ""),
        ("check now", ""),
        ("tune plan somaxconn=many", ""),
        ("--nosuch", ""),
        ("", ""),
    ],
)
def test_the_command_that_was_meant(argv: str, meant: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert intended(argv.split(), root) == meant


@pytest.mark.parametrize("argv", [["lab", "accept-queue"], ["tune", "plan", "somaxconn", "8192"]])
def test_it_is_printed_after_the_error(argv: list[str]) -> None:
    done = sockmon(*argv)
    assert done.returncode == usage.MISUSE
    assert done.stderr.splitlines()[-1].endswith(intended(argv, root))
