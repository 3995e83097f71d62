"""`--push`: the agent on a host that has python3 alone, over a real sshd, and what stays there: nothing."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import zipfile
import zlib
from contextlib import closing
from pathlib import Path

import pytest

from sockmon.errors import SourceLost
from sockmon.fleet.hosts import FleetHost
from sockmon.fleet.over_ssh import over_ssh
from sockmon.model.conntrack_flows import Flow, FlowQuery, FlowsQuery, FlowTuple
from sockmon.model.detail import GroupQuery, ListenerQuery, ProcessQuery, Request, SetInterval, WatchNetns
from sockmon.model.netns_rules import NetnsQuery
from sockmon.model.process_facts import DescriptorsQuery, MemoryQuery
from sockmon.model.process_states import ProcessStatesQuery
from sockmon.model.socket_list import SocketListQuery, StopSocketList
from sockmon.sources import push
from sockmon.sources.agent_process import ssh_agent
from sockmon.sources.wire import decode, encode
from sockmon.sources.wire_netns import SnapshotWriter
from tests.netns import child_environment
from tests.snapshots import process, snapshot
from tests.sshd import Server
from tests.terminal import on_terminal
from tests.waiting import alive, until

PYTHON = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
"""Another Python than that of the tests, if there is one: it has none of our packages."""
RECORDINGS = Path(__file__).parents[2] / "sockmon/labs/recordings"

PURE = """
import json, sys
sys.path.insert(0, sys.argv[1])
from sockmon.model.detail import Request
from sockmon.sources.wire import decode, decode_request, encode
import msgspec
assert msgspec.__file__.startswith(sys.argv[1]), msgspec.__file__
for line in sys.stdin.buffer:
    kind, _, rest = line.partition(b" ")
    try:
        found = decode(rest) if kind == b"line" else decode_request(rest)
        sys.stdout.buffer.write(encode(found))
    except Exception as error:
        sys.stdout.buffer.write(type(error).__name__.encode() + b"\\n")
"""


@pytest.fixture
def archive(tmp_path: Path) -> str:
    path = tmp_path / "agent.zip"
    path.write_bytes(zlib.decompress(push.archive()))
    return str(path)


def through_pure(archive: str, lines: list[bytes]) -> list[bytes]:
    """Return what the pure encoding makes of lines that it decodes: `line JSON` or `request JSON`."""
    done = subprocess.run(
        [PYTHON, "-I", "-c", PURE, archive], input=b"\n".join(lines), capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.splitlines()


def test_documents_are_the_same_without_msgspec(archive: str) -> None:
    lines = [line for path in sorted(RECORDINGS.glob("*.jsonl")) for line in path.read_bytes().splitlines()[:2]]
    lines += [encode(SnapshotWriter().line(snapshot(0.0, process(), process(pid=7, fds=None)))).strip()]
    for ours, pure in zip(lines, through_pure(archive, [b"line " + line for line in lines]), strict=True):
        expected = encode(decode(ours)).strip()
        assert decode(pure) == decode(expected)
        assert json.loads(pure) == json.loads(expected)


REQUESTS: list[Request] = [
    ProcessQuery(7, 99),
    GroupQuery(3, "10.0.0.5", "10.0.0.9", 80),
    ListenerQuery(3, 71),
    DescriptorsQuery(7, 99, "socket"),
    MemoryQuery(7, 99),
    ProcessStatesQuery(3),
    NetnsQuery(3),
    SetInterval(0.5),
    WatchNetns(4026531833),
    StopSocketList(),
    FlowsQuery(1),
    SocketListQuery(1),
    FlowQuery(
        Flow(1, 4, "tcp", 6, FlowTuple("10.0.0.1", "10.0.0.2", 1, 2), FlowTuple("10.0.0.2", "10.0.0.1", 2, 1), 8)
    ),
]


def test_requests_are_the_same_without_msgspec_and_bad_ones_are_refused(archive: str) -> None:
    good = [encode(each).strip() for each in REQUESTS]
    bad = [
        b"{",
        b"[]",
        b"null",
        b'{"focus":"x"}',
        b'{"focus":"process","pid":"7","start":1}',
        b'{"focus":"process"}',
    ]
    found = through_pure(archive, [b"request " + line for line in (*good, *bad)])
    assert [json.loads(line) for line in found[: len(good)]] == [json.loads(line) for line in good]
    assert found[len(good) :] == [b"BadRecording"] * len(bad)


def host_of(server: Server, pushed: bool) -> FleetHost:
    """Return the one host of `sockmon fleet`."""
    return over_ssh([server.spec], pushed=pushed).hosts[0]


def why_no_stream(server: Server, pushed: bool) -> str:
    """Return message and hint with which `--from` ends."""
    with closing(ssh_agent(server.spec, 1.0, pushed=pushed)) as source, pytest.raises(SourceLost) as caught:
        list(source.lines())
    return f"{caught.value.message}; {caught.value.hint}"


def nothing_left(server: Server, home: Path) -> bool:
    return not server.agents() and not list((home / "empty").iterdir())


@pytest.fixture
def found_ssh(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The `ssh` of this process is that of the server."""
    monkeypatch.setenv("PATH", server.path)


def test_a_fleet_has_its_verdicts_with_and_without_sockmon(
    server: Server, found_ssh: None, tmp_path: Path
) -> None:
    installed = host_of(server, pushed=False)
    (tmp_path / "sockmon").unlink()
    sent = host_of(server, pushed=True)
    assert {installed.state, sent.state} == {"live"}
    assert sent.labels == installed.labels
    assert sent.nearest is not None
    assert nothing_left(server, tmp_path)


def test_the_screen_of_a_host_without_sockmon(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sockmon").unlink()
    with on_terminal("--from", server.spec, "--push", variables={"PATH": server.path}) as terminal:
        terminal.until(" usable ")
        os.kill(server.agents()[0], signal.SIGKILL)
        terminal.until("its command was killed")
        assert not list((tmp_path / "empty").iterdir())
        until(lambda: bool(server.agents()))
        terminal.until(f"{server.title} 1 s")
        # Nothing can be changed there: it has no helper, and what was sent has no code for it.
        terminal.press("t")
        terminal.until("another host")
        (agent,) = server.agents()
        terminal.process.kill()
        until(lambda: not alive(agent))
        assert nothing_left(server, tmp_path)


def test_a_guide_is_walked_on_a_host_without_sockmon(server: Server, tmp_path: Path) -> None:
    (tmp_path / "sockmon").unlink()
    done = subprocess.run(
        [sys.executable, "-m", "sockmon", "guide", "--from", server.spec, "--push", "--json"],
        env=child_environment() | {"PATH": server.path},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)
    until(lambda: nothing_left(server, tmp_path))


def test_what_can_change_a_host_is_not_sent(archive: str) -> None:
    rooms = {name.split("/")[1] for name in zipfile.ZipFile(archive).namelist() if name.startswith("sockmon/")}
    assert not rooms & {"tuning", "ui", "cli", "sandbox", "labs", "experiments", "export"}


OLD = """#!/bin/sh
exec {python} -I -c 'import sys
sys.version_info = (3, 9, 2, "final", 0)
exec(sys.argv[1])' "$3"
"""
ABSENT = """#!/bin/sh
echo "sh: 1: $(basename $0): not found" >&2
exit 127
"""
NEWER = """#!/bin/sh
exec {python} "$@"
"""


def test_each_fault_of_the_other_side_is_named(server: Server, found_ssh: None, tmp_path: Path) -> None:
    def put(name: str, text: str) -> None:
        (tmp_path / name).write_text(text.format(python=PYTHON))
        (tmp_path / name).chmod(0o700)

    def named(reason: str, pushed: bool) -> None:
        assert reason in host_of(server, pushed).reason
        assert reason in why_no_stream(server, pushed)

    put("sockmon", ABSENT)
    named("sockmon: not found; install sockmon on that host, in the PATH of ssh commands, or use --push", False)
    put("python3", ABSENT)
    named("python3: not found; install Python 3.10 or newer on that host", True)
    put("python3", OLD.replace("exec", "PATH=/nowhere exec", 1))
    named("python3 on that host is Python 3.9.2 (", True)
    put("python3", OLD)
    put("python3.40", NEWER)
    assert host_of(server, pushed=True).state == "live"
    port = server.spec.rpartition(":")[2]
    (tmp_path / "known").write_text(f"[127.0.0.1]:{port} {(tmp_path / 'user.pub').read_text()}")
    for pushed in (False, True):
        named("its host key has changed; if you know why, forget the old key: ssh-keygen -R '[127.0.0.1]:", pushed)
    (tmp_path / "known").write_text("")
    config = (tmp_path / "ssh_config").read_text()
    (tmp_path / "ssh_config").write_text(config.replace("accept-new", "yes"))
    named("its host key is not known here; log in once, and compare the key", False)
    (tmp_path / "ssh_config").write_text(config.replace("{home}/user", "/nonexistent"))
    (tmp_path / "user").unlink()
    named("it refuses the login (publickey", False)


SSH = """#!/bin/sh
while [ "$1" != "--" ]; do shift; done
shift 2
exec {shell} -c "$*"
"""
"""Does on this host what sshd does on the other: it gives the whole command to the shell of the user."""


def run_here(folder: Path, monkeypatch: pytest.MonkeyPatch, shell: str) -> FleetHost:
    """Return the host on which `shell` is that of the user, with --push."""
    (folder / "ssh").write_text(SSH.format(shell=shell))
    (folder / "ssh").chmod(0o700)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    return over_ssh(["ssh://here"], pushed=True).hosts[0]


@pytest.mark.parametrize("shell", ["dash", "bash", "zsh", "fish", "tcsh"])
def test_every_shell_starts_what_is_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shell: str) -> None:
    path = shutil.which(shell)
    if path is None:
        pytest.skip(f"needs {shell}")
    assert run_here(tmp_path, monkeypatch, path).state == "live"


def test_what_a_host_says_instead_on_its_standard_output_is_the_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As nologin(8) does, and the key that cloud images have for root."""
    said = "Please log in as another user."
    refuse = tmp_path / "refuse"
    refuse.write_text(f"#!/bin/sh\nprintf '\\033[2J{said}\\n\\n'\nexit 142\n")
    refuse.chmod(0o700)
    assert run_here(tmp_path, monkeypatch, str(refuse)).reason == f"exit code 142: \ufffd[2J{said}"
    for pushed in (False, True):
        with closing(ssh_agent("ssh://here", 1.0, pushed=pushed)) as source, pytest.raises(SourceLost) as caught:
            list(source.lines())
        assert caught.value.message == f"here: exit code 142: \ufffd[2J{said}"


NO_MEMFD = """#!/bin/sh
exec {python} -I -c 'import os, sys
def refuse(*words):
    raise PermissionError(1, "Operation not permitted")
os.memfd_create = refuse
exec(sys.argv[1])' "$3"
"""


def test_a_host_that_allows_no_file_in_memory_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "python3").write_text(NO_MEMFD.format(python=PYTHON))
    (tmp_path / "python3").chmod(0o700)
    reason = run_here(tmp_path, monkeypatch, "/bin/sh").reason
    assert reason.startswith("that host allows no file in memory (memfd_create: Operation not permitted); install")


@pytest.mark.parametrize(
    "words",
    [
        ("--push",),
        ("--push", "--from", "file"),
        ("fleet", "--push", "--prometheus", "x"),
        ("guide", "--push"),
        ("guide", "stuck-at-n", "--push", "--from", "file"),
    ],
)
def test_there_must_be_a_host_to_push_to(words: tuple[str, ...]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "sockmon", *words],
        env=child_environment(),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 64
    assert "--push needs" in done.stderr
