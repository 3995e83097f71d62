"""T7: out of the reach of a logout. The bus is a script here: no private namespace has a systemd."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sockmon.tuning.scope import at_risk, kills_at_logout, moved


def _busctl(folder: Path, does: str) -> str:
    script = folder / "busctl"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/asked\n{does}\n')
    script.chmod(0o755)
    return str(script)


def test_T7_systemd_is_asked_for_a_scope_of_both(tmp_path: Path) -> None:
    assert moved(1002, 1001, _busctl(tmp_path, "exit 0"))
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[asked.index("StartTransientUnit") :][:4] == [
        "StartTransientUnit", "ssa(sv)a(sa(sv))", "sockmon-guard-1002.scope", "fail",
    ]  # fmt: skip
    assert asked[asked.index("PIDs") :][:5] == ["PIDs", "au", "2", "1002", "1001"]


@pytest.mark.parametrize("does", ["exit 1", "kill -KILL $$"])
def test_T7_a_bus_that_refuses_is_no_scope(tmp_path: Path, does: str) -> None:
    assert not moved(1002, 1001, _busctl(tmp_path, does))


def test_T7_a_bus_that_hangs_holds_nobody_up(tmp_path: Path) -> None:
    begun = time.monotonic()
    assert not moved(1002, 1001, _busctl(tmp_path, "exec sleep 600"))
    assert time.monotonic() - begun < 300
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def test_T7_no_busctl_is_no_scope(tmp_path: Path) -> None:
    assert not moved(1002, 1001, None)
    assert not moved(1002, 1001, str(tmp_path / "busctl"))


def _write(root: Path, name: str, text: str) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_T7_what_would_end_the_guard_is_said(tmp_path: Path) -> None:
    assert at_risk("session-4.scope", tmp_path) == []
    assert at_risk("docker-1.scope", tmp_path) == []
    _write(tmp_path, "usr/lib/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\n")
    (words,) = at_risk("session-4.scope", tmp_path)
    assert words.startswith("a logout ends the guard (KillUserProcesses=yes in /usr/lib/systemd/logind.conf)")
    (words,) = at_risk("ansible.service", tmp_path)
    assert words.startswith("the guard ends with ansible.service")


def test_the_last_word_of_logind_counts(tmp_path: Path) -> None:
    _write(tmp_path, "usr/lib/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\n")
    _write(tmp_path, "etc/systemd/logind.conf", "[Login]\n#KillUserProcesses=yes\n")
    assert kills_at_logout(tmp_path) == ""
    _write(tmp_path, "usr/lib/systemd/logind.conf.d/50-a.conf", "[Login]\n KillUserProcesses = TRUE\n")
    assert kills_at_logout(tmp_path) == "/usr/lib/systemd/logind.conf.d/50-a.conf"
    _write(tmp_path, "run/systemd/logind.conf.d/60-b.conf", "[Login]\nKillUserProcesses=no\n")
    assert kills_at_logout(tmp_path) == ""
    _write(tmp_path, "etc/systemd/logind.conf.d/60-b.conf", "")
    assert kills_at_logout(tmp_path) == "/usr/lib/systemd/logind.conf.d/50-a.conf"
