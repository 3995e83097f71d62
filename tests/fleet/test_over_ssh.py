"""A few hosts by their own reports, with an `ssh` that runs the command here or fails as ssh does."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from sockmon.fleet.over_ssh import over_ssh
from tests.netns import child_environment

SSH = """#!/bin/sh
for word; do
  case $word in
    sick) echo '{report}'; exit 2;;
    chatty) printf 'Welcome {to}\\n'; echo '{indented}'; echo 'Bye {}'; exit 2;;
    closed) echo "ssh: connect to host closed port 22: Connection refused" >&2; exit 255;;
    changed) printf 'REMOTE HOST IDENTIFICATION HAS CHANGED!\\nHost key verification failed.\\n' >&2; exit 255;;
    bare) echo "bash: line 1: sockmon: command not found" >&2; exit 127;;
    silent) exit 0;;
    endless) exec yes "{filler}";;
    braces) exec yes "{";;
    noisy) yes "{filler}" >&2 & exec sleep 600;;
  esac
done
echo "$@" >&2
"""


def report() -> str:
    remedy = {"kind": "application", "key": None, "value": None, "text": "x"}
    reading = {
        "ceiling": "process-fds", "subject": "nginx[7]", "scope": "process", "used": 9, "limit": 9, "ratio": 1.0,
        "rate": None, "eta_seconds": None, "severity": "hit", "evidence": [], "remedies": [remedy],
    }  # fmt: skip
    unknown = {**reading, "ceiling": "pid-max", "severity": "unknown", "ratio": None}
    whole = {
        "schema": 1, "host": "web-1", "kernel": "6.1", "time": "", "netns": "host", "verdict": "hit",
        "readings": [reading, unknown], "missing": [],
    }  # fmt: skip
    return json.dumps(whole)


@pytest.fixture
def with_ssh(tmp_path: Path) -> dict[str, str]:
    program = tmp_path / "ssh"
    indented = json.dumps(json.loads(report()), indent=2)
    program.write_text(
        SSH.replace("{report}", report()).replace("{indented}", indented).replace("{filler}", "x" * 200)
    )
    program.chmod(0o755)
    environment = child_environment()
    return {**environment, "PATH": f"{tmp_path}:{environment['PATH']}"}


def fleet(environment: dict[str, str], *words: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "sockmon", "fleet", *words]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return done.returncode, done.stdout + done.stderr


def test_each_host_has_its_verdict_or_the_reason(with_ssh: dict[str, str]) -> None:
    hosts = ("closed", "sick", "changed", "bare", "silent")
    code, text = fleet(with_ssh, "--json", *(f"ssh://{name}" for name in hosts))
    found = json.loads(text)
    assert code == 2
    assert found["verdict"] == "hit"
    assert found["hosts"][0]["name"] == "sick"
    assert found["hosts"][0]["limits"][0] == {
        "ceiling": "process-fds", "severity": "hit", "ratio": 1.0, "seconds_left": None, "subject": "nginx[7]",
        "used": 9.0, "limit": 9.0, "netns": "",
    }  # fmt: skip
    assert found["hosts"][0]["unknown"] == 1
    reasons = {host["name"]: host["reason"] for host in found["hosts"][1:]}
    assert "Connection refused" in reasons["closed"]
    assert "its host key has changed" in reasons["changed"]
    assert "command not found" in reasons["bare"]
    assert "no report" in reasons["silent"]


def test_lines_that_the_shell_prints_around_the_report_are_no_part_of_it(with_ssh: dict[str, str]) -> None:
    code, text = fleet(with_ssh, "--json", "ssh://chatty")
    assert code == 2
    assert json.loads(text)["verdict"] == "hit"


@pytest.mark.parametrize("push", [(), ("--push",)], ids=["check", "push"])
@pytest.mark.parametrize("host", ["endless", "braces"])
def test_a_host_that_prints_without_an_end_is_stopped_and_named(
    with_ssh: dict[str, str], host: str, push: tuple[str, ...]
) -> None:
    code, text = fleet(with_ssh, "--json", *push, f"ssh://{host}", "ssh://sick")
    found = {each["name"]: each for each in json.loads(text)["hosts"]}
    assert code == (3 if push else 2)
    assert found[host]["state"] == "failed"
    words = "is no stream of sockmon: `" if push else "more than 64 MiB"
    assert words in found[host]["reason"]


def test_a_host_that_is_silent_for_too_long_is_stopped(
    with_ssh: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", with_ssh["PATH"])
    monkeypatch.setattr("sockmon.fleet.remote_command.MAX_SECONDS", 0.5)
    for pushed in (False, True):
        (host,) = over_ssh(["ssh://noisy"], pushed=pushed).hosts
        assert host.reason == "no report within 0 s"


def test_text(with_ssh: dict[str, str]) -> None:
    code, text = fleet(with_ssh, "ssh://closed", "ssh://sick")
    assert code == 2
    lines = text.splitlines()
    assert lines[0] == "ssh · 2 hosts, 1 with an alarm, 1 unknown"
    assert "HIT" in lines[1]
    assert "sick" in lines[1]
    assert "open files" in lines[1]
    assert "Connection refused" in lines[2]


def test_a_host_that_is_unknown_is_not_ok(with_ssh: dict[str, str]) -> None:
    assert fleet(with_ssh, "ssh://closed")[0] == 3


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["web-1"],
        ["ssh://-oProxyCommand=x"],
        ["ssh://a", "--prometheus", "http://b"],
        ["ssh://a", "--tenant", "t"],
    ],
)
def test_misuse(with_ssh: dict[str, str], words: list[str]) -> None:
    assert fleet(with_ssh, *words)[0] == 64
