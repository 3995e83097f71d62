"""Every command that the documentation prints does what it says: run here, or named with the reason why not."""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import bcrypt
import pytest

from sockmon import experiments, guides, labs
from sockmon.tuning.planning.naming import find_key
from tests.docs_commands import commands
from tests.netns import ROOT, child_environment, inside, refusal
from tests.terminal import on_terminal
from tests.tuning.sample_change import SOMAXCONN, values
from tests.tuning.test_transaction import old_values
from tests.tuning.test_tune_verbs import seen, the_end, tune, type_slowly

SOCKMON = [sys.executable, "-m", "sockmon"]
EXAMPLES = {"NAME": "process-fds", "KEY": "net.core.somaxconn", "KEY=VALUE": "net.core.somaxconn=8192"}
"""What stands for a placeholder."""


def argv(command: str) -> list[str]:
    """The words behind `sockmon`, with examples for placeholders."""
    words = shlex.split(command)
    first = next(at for at, word in enumerate(words) if word.endswith("sockmon"))
    return [EXAMPLES.get(word, word) for word in words[first + 1 :]]


def ends(*codes: int) -> Callable[[str, Path], None]:
    """It ends by itself with one of `codes`, having printed something."""

    def run(command: str, folder: Path) -> None:
        done = subprocess.run(
            [*SOCKMON, *argv(command)],
            cwd=folder, env=child_environment(), capture_output=True, text=True, timeout=120,
            stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert done.returncode in codes, done.stderr
        assert (done.stdout + done.stderr).strip()
        assert "Traceback" not in done.stderr

    return run


def screen(words: str = "Limits") -> Callable[[str, Path], None]:
    """It opens a screen that shows `words`; q ends it."""

    def run(command: str, folder: Path) -> None:
        if "incident" in command:
            recorded(folder)
        variables = {"PATH": f"{false_ssh(folder)}:{os.environ['PATH']}"} if "ssh://" in command else {}
        with on_terminal(*argv(command), cwd=folder, variables=variables) as terminal:
            terminal.until(words, 120)
            terminal.press("q")
            assert terminal.end() == 0, terminal.screen()

    return run


def lab_screen(command: str, folder: Path) -> None:
    needs_userns()
    screen()(command, folder)


def false_ssh(folder: Path) -> str:
    """A directory with an ssh that runs the command of the other host here."""
    ssh = folder / "bin" / "ssh"
    ssh.parent.mkdir()
    ours = " ".join(map(shlex.quote, SOCKMON))
    ssh.write_text(
        '#!/bin/sh\nwhile [ "$1" != -- ]; do shift; done\nshift 2\n'
        f'[ "$1" = sockmon ] || exec sh -c "$*"\nshift\nexec {ours} "$@"\n'
    )
    ssh.chmod(0o755)
    return str(ssh.parent)


def recorded(folder: Path) -> None:
    subprocess.run(
        [*SOCKMON, "record", "incident.jsonl", "--for", "1", "--interval", "0.3"],
        cwd=folder, env=child_environment(), check=True, capture_output=True,
    )  # fmt: skip


def recording(command: str, folder: Path) -> None:
    """It records until Ctrl-C."""
    path = folder / "incident.jsonl"
    # What runs in the background has SIGINT ignored, and hands that on.
    code = "import signal; signal.signal(2, signal.default_int_handler); from sockmon.cli.main import main; main()"
    recorder = subprocess.Popen(
        [sys.executable, "-c", code, *argv(command)],
        cwd=folder,
        env=child_environment(),
        stderr=subprocess.DEVNULL,
    )
    try:
        while not path.exists() or path.read_bytes().count(b"\n") < 3:
            assert recorder.poll() is None
            time.sleep(0.05)
        recorder.send_signal(signal.SIGINT)
        assert recorder.wait(30) == 0
    finally:
        recorder.kill()
        recorder.wait()


def named_namespace(command: str, folder: Path) -> None:
    """It runs where `ip netns add web` was run, in mount and network namespaces of its own."""
    needs_userns()
    if not (shutil.which("ip") and shutil.which("unshare")):
        pytest.skip("needs ip and unshare")
    script = (
        "mount -t tmpfs none /run && ip netns add web || exit 90;"
        f" {shlex.join([*SOCKMON, *argv(command)])} --json; code=$?; ip netns del web; exit $code"
    )
    done = subprocess.run(
        ["unshare", "--map-root-user", "--net", "--mount", "sh", "-c", script],
        cwd=folder, env=child_environment(), capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    if done.returncode == 90:
        pytest.skip(f"no named namespace here: {done.stderr.strip()}")
    assert done.returncode in (0, 1, 2, 3), done.stderr
    assert json.loads(done.stdout)["netns"] == "web", done.stderr


@lru_cache
def transaction() -> dict[str, str]:
    """As root of a private namespace, without sudo: apply, keep, undo, keep, forget; what each of them left."""
    needs_userns()
    return inside(_transaction)


def _transaction() -> dict[str, str]:
    with old_values() as root:
        left = {"apply": _typed(root, "apply", "somaxconn=8192")}
        assert tune(root, "keep")[0] == 0
        left["keep"] = values()[SOMAXCONN]
        left["undo"] = _typed(root, "undo")
        assert tune(root, "keep")[0] == 0
        Path(root, "etc/sysctl.d").mkdir(parents=True)
        assert tune(root, "apply", "somaxconn=8192", "--yes")[0] == 0
        assert tune(root, "keep", "--persist")[0] == 0
        left["forget"] = _typed(root, "forget", "somaxconn")
        assert os.listdir(Path(root, "etc/sysctl.d")) == []
    return left


def _typed(root: str, *words: str) -> str:
    """The value after `words`, which ask for `apply` on a terminal."""
    command = [*SOCKMON, "tune", *words, "--root", root]
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(command[0], command, child_environment() | {"TERM": "dumb"})
    seen(terminal, b"to cancel): ")
    said = type_slowly(terminal, b"apply") + the_end(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said
    os.close(terminal)
    return values()[SOMAXCONN]


def as_root(command: str, folder: Path) -> None:
    verb = argv(command)[1]
    assert transaction()[verb] == {"apply": "8192", "keep": "8192", "undo": "4096", "forget": "8192"}[verb]


def make(command: str, folder: Path) -> None:
    """What make would run: it has that target, and its arguments are taken."""
    if not shutil.which("make"):
        pytest.skip("needs make")
    words = [*shlex.split(command), *([] if command == "make help" else ["-n"])]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


def shell(command: str, folder: Path) -> None:
    """A shell takes it, and finds sockmon afterwards if it is installed there."""
    found = subprocess.run(
        ["sh", "-c", f"{command}; command -v sockmon"], cwd=ROOT, capture_output=True, text=True
    )
    assert (found.returncode == 0) >= (ROOT / ".venv/bin/sockmon").exists(), found.stderr


def loaded_screen(command: str, folder: Path) -> None:
    needs_userns()
    words = shlex.split(command)
    at = words.index("--")
    with on_terminal(*SOCKMON, command=[sys.executable, *words[1:at], "--"], cwd=ROOT) as terminal:
        terminal.until("leaky-worker", 120)
        terminal.press("q")
        assert terminal.end() == 0, terminal.screen()


def loaded_check(command: str, folder: Path) -> None:
    needs_userns()
    words = [sys.executable, *shlex.split(command)[1:]]
    done = subprocess.run(words, cwd=ROOT, env=child_environment(), capture_output=True, text=True, timeout=120)
    assert "ephemeral ports" in done.stdout, done.stderr


def of_a_recording(command: str, folder: Path) -> None:
    recorded(folder)
    ends(0, 1, 2)(command, folder)


def piped(command: str, folder: Path) -> None:
    """The agent's stream goes through jq, which prints something for one of its first samples: on a busy machine
    not everything is read for the first one."""
    if not shutil.which("jq"):
        pytest.skip("needs jq")
    agent, _, rest = command.partition(" | ")
    for samples in (1, 5, 20):
        script = f"{shlex.join([*SOCKMON, *argv(agent)])} | head -{1 + samples} | {rest}"
        done = subprocess.run(
            ["sh", "-c", script],
            cwd=folder, env=child_environment(), capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        if done.stdout.splitlines()[-1] != "null":
            return
    raise AssertionError(done.stdout)


def exporter(command: str, folder: Path, scheme: str = "http") -> None:
    words = [*SOCKMON, *argv(command), "--listen", "127.0.0.1:0"]
    with subprocess.Popen(words, cwd=folder, stderr=subprocess.PIPE, env=child_environment(), text=True) as child:
        assert child.stderr
        assert re.search(rf"{scheme}://.+/metrics", child.stderr.readline())
        child.terminate()
    assert child.returncode == 0


def password_hash(command: str, folder: Path) -> str:
    """Without a terminal it reads the password from its standard input."""
    done = subprocess.run(
        [sys.executable, *shlex.split(command)[1:]],
        input="secret\n", capture_output=True, text=True, timeout=60, check=True, start_new_session=True,
    )  # fmt: skip
    hashed = done.stdout.split()[-1]
    assert bcrypt.checkpw(b"secret", hashed.encode())
    return hashed


def protected_exporter(command: str, folder: Path) -> None:
    """It serves TLS with the certificate, the hash and the file that the page describes."""
    if not shutil.which("openssl"):
        pytest.skip("needs openssl")
    page = (ROOT / "docs/prometheus.md").read_text()
    (make_certificate,) = re.findall(r"^openssl .+", page, re.MULTILINE)
    subprocess.run(shlex.split(make_certificate), cwd=folder, capture_output=True, timeout=60, check=True)
    (hash_password,) = re.findall(r"^\.venv/bin/python -c .*bcrypt.*", page, re.MULTILINE)
    (config,) = re.findall(r"^tls_server_config: (?:.|\n)+?(?=```)", page, re.MULTILINE)
    (folder / "web.yml").write_text(config.replace("$2b$12$…", password_hash(hash_password, folder)))
    exporter(command, folder, "https")


def no_server(command: str, folder: Path) -> None:
    words = [*SOCKMON, *(re.sub(r"^http://.+", "http://127.0.0.1:1", word) for word in argv(command))]
    done = subprocess.run(words, env=child_environment(), capture_output=True, text=True, timeout=60, check=False)
    assert "does not answer" in done.stderr
    assert done.returncode == 3


def benchmark_of_a_fleet(command: str, folder: Path) -> None:
    """It prints what each query costs, and what the screen takes."""
    if not shutil.which("prometheus"):
        pytest.skip("needs prometheus")
    words = [sys.executable, *shlex.split(command)[1:], "--quick"]
    done = subprocess.run(
        words, cwd=ROOT, env=child_environment(), capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "series of 20 hosts" in done.stdout
    assert "sockmon_verdict{} == 1" in done.stdout
    assert done.stdout.count(" of a processor in the median second") == 2


def fleet_of_labs(command: str, folder: Path) -> None:
    """It builds the labs and says what shows them; there the labs are on one screen, each at its limit."""
    needs_userns()
    if not shutil.which("prometheus"):
        pytest.skip("needs prometheus")
    for name, program in (("sockmon", shlex.join(SOCKMON)), ("python3", sys.executable)):
        (folder / name).write_text(f'#!/bin/sh\nexec {program} "$@"\n')
        (folder / name).chmod(0o755)
    environment = child_environment() | {"PATH": f"{folder}:{os.environ['PATH']}"}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    words = [*shlex.split(command), "--listen", address]
    with subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True) as labs:
        try:
            assert labs.stdout
            assert labs.stdout.readline().endswith(f"sockmon fleet --prometheus http://{address}\n")
            with on_terminal("fleet", "--prometheus", f"http://{address}") as terminal:
                # It asks again each 15 s; a lab may need longer to be there.
                terminal.until("2 hosts", 120)
                terminal.until("✖ 2 hit", 120)
                # The rows are drawn after the head.
                for name in words[2:4]:
                    terminal.until(f" {name} ", 30)
                terminal.press("q")
                assert terminal.end() == 0
        finally:
            labs.terminate()


def redirected(command: str, folder: Path) -> None:
    """It fills the file behind `>`, or that of --textfile."""
    words, _, out = command.partition(" > ")
    script = shlex.join([*SOCKMON, *argv(words)]) + (f" > {out}" if out else "")
    subprocess.run(["sh", "-c", script], cwd=folder, env=child_environment(), check=True, timeout=120)
    (written,) = folder.iterdir()
    assert written.stat().st_size > 1000


def helps(command: str, folder: Path) -> None:
    words = [sys.executable, *shlex.split(command)[1:], "--help"]
    done = subprocess.run(words, cwd=ROOT, env=child_environment(), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


def there(command: str, folder: Path) -> None:
    module = re.fullmatch(r"python -m (\S+)", command)
    assert (ROOT / (f"{module[1].replace('.', '/')}.py" if module else command)).exists()


def known_lab(command: str, folder: Path) -> None:
    assert labs.find_lab(argv(command)[2])


def known_guide(command: str, folder: Path) -> None:
    assert guides.find_guide(argv(command)[1])


def known_proof(command: str, folder: Path) -> None:
    named = find_key(argv(command)[1])
    key = named.key
    assert named.kind == "removed" or key in experiments.BY_KEY or key in experiments.NOT_ISOLATABLE


def needs_userns() -> None:
    if reason := refusal():
        pytest.skip(f"no user namespace here: {reason}")


def large_lab(command: str, folder: Path) -> None:
    """The lab is known; a size that is too small is misuse of the option, so the command line is understood."""
    known_lab("sockmon lab run many-namespaces", folder)
    ends(64)("sockmon lab run --size 3 many-namespaces -- check", folder)


def absent_namespace(command: str, folder: Path) -> None:
    ends(1)(command.removeprefix("sudo "), folder)


class Entry(NamedTuple):
    """How a command is run."""

    pattern: str
    """Matches the whole command."""
    run: Callable[[str, Path], object]
    reason: str = ""
    """Why it is not run as it is printed."""


TABLE = [
    Entry(r"sockmon|\.venv/bin/sockmon|python -m sockmon", screen()),
    Entry(r"sockmon check( --json| --oneline| --watch \d+)?", ends(0, 1, 2)),
    Entry(r"sockmon check --only .+ --ignore .+", ends(0, 1, 2)),
    Entry(r"sockmon check --netns web", named_namespace, "in a mount namespace that has a namespace of that name"),
    Entry(r"sockmon explain .+", ends(0)),
    Entry(
        r"sockmon fleet --prometheus .+", no_server, "no server is there; tests/export/test_prometheus.py has one"
    ),
    Entry(r"python -m benchmarks\.fleet", benchmark_of_a_fleet, "with few hosts, and without waiting"),
    Entry(r"python3 docs/examples/fleet/labs\.py .+", fleet_of_labs, "on any free port"),
    Entry(r"sockmon fleet ssh://.+", ends(3), "hosts of that name do not exist"),
    Entry(r"sockmon fleet", ends(64), "it needs hosts or a server, and says so"),
    Entry(r"sockmon export", exporter, "on any free port"),
    Entry(r"sockmon export --listen .+ --web-config web\.yml", protected_exporter, "on any free port"),
    Entry(r"\.venv/bin/python -c .+bcrypt.+", password_hash),
    Entry(r"sockmon export (rules|dashboard)", ends(0)),
    Entry(r"sockmon export (rules > .+|dashboard > .+|--textfile .+)", redirected),
    Entry(r"\.venv/bin/sockmon agent \| jq .+", piped, "its first line alone"),
    Entry(r"\.venv/bin/sockmon record --for 5 incident\.jsonl", recording),
    Entry(r"\.venv/bin/sockmon check --from incident\.jsonl", of_a_recording),
    Entry(r"\.venv/bin/sockmon lab run accept-queue -- check --json", ends(2)),
    Entry(r"\.venv/bin/python -m tests\.load .+ -- sockmon check", loaded_check),
    Entry(r"sockmon lab list|sockmon tune (list|show .+|plan .+|history|verify)", ends(0)),
    Entry(r"sockmon lab run (NAME|four-plateaus)", lab_screen),
    Entry(r"sockmon lab run (accept-queue|process-fds) -- check --json", ends(2)),
    Entry(
        r"sockmon lab run (--size 500 )?many-namespaces -- check",
        large_lab,
        "tests/labs/test_labs.py runs it with 30",
    ),
    Entry(
        r"sudo sockmon tune apply --netns .+", absent_namespace, "without sudo; there is no container of that name"
    ),
    Entry(r"sockmon lab run \S+", known_lab, "tests/labs/test_labs.py runs every lab"),
    Entry(r"sockmon guide( stuck-at-n 32720)?", ends(0)),
    Entry(r"sockmon guide \S+ --lab", known_guide, "tests/guides walks each guide on its lab"),
    Entry(r"sockmon prove \S+", known_proof, "tests/experiments/test_experiments.py makes every measurement"),
    Entry(r"sockmon record incident\.jsonl", recording),
    Entry(r"sockmon --from incident\.jsonl", screen()),
    Entry(
        r"sockmon --from ssh://web-1( --push)?",
        screen("ssh web-1"),
        "with an ssh that runs the other host's command here",
    ),
    Entry(r"sudo \.venv/bin/sockmon", screen(), "without sudo; tests/test_logins.py starts it with the real one"),
    Entry(r"sudo \.venv/bin/sockmon tune .+", as_root, "without sudo, as root of a private namespace"),
    Entry(r"make .+", make, "make -n: it would install, test or rewrite this checkout"),
    Entry(r"export PATH=.+", shell),
    Entry(r"\.venv/bin/python -m tests\.load .+ -- sockmon", loaded_screen),
    Entry(r"python -m tests\.host_runs", helps, "its help alone: it lowers sysctls of the host"),
    Entry(r"python -m tests\.lab_recordings", there, "it rewrites the recordings of the checkout"),
    Entry(r"screenshots/render\.py", there, "a file; it draws whatever program it is given"),
    Entry(r"\.ci/run", there, "it installs packages of the host"),
]

COMMANDS = commands()


def entry(command: str) -> Entry | None:
    return next((each for each in TABLE if re.fullmatch(each.pattern, command)), None)


@pytest.mark.xdist_group("docs-commands")
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_the_documentation_prints(command: str, tmp_path: Path) -> None:
    found = entry(command)
    assert found, f"{', '.join(COMMANDS[command])}: say in TABLE how `{command}` is run"
    if " -- check" in command:
        needs_userns()
    found.run(command, tmp_path)


def test_every_entry_is_still_printed_somewhere() -> None:
    used = {each.pattern for command in COMMANDS if (each := entry(command))}
    assert [each.pattern for each in TABLE if each.pattern not in used] == []
