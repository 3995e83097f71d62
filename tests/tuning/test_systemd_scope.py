"""T7: guard and watchdog survive a logout. A script stands for the bus: no private namespace has systemd."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from sockmon.tuning.transaction.systemd_scope import early_end_reason, file_that_kills_at_logout, move_to_scope
from tests.terminal import children_of


def _busctl(folder: Path, does: str) -> str:
    script = folder / "busctl"
    script.write_text(f'#!/bin/sh\nprintf "%s\\n" "$@" > {folder}/asked\n{does}\n')
    script.chmod(0o755)
    return str(script)


@pytest.mark.fault("T7")
def test_T7_systemd_is_asked_for_a_scope_of_both(tmp_path: Path) -> None:
    assert move_to_scope(1002, 1001, _busctl(tmp_path, "exit 0"))
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked[asked.index("StartTransientUnit") :][:4] == [
        "StartTransientUnit", "ssa(sv)a(sa(sv))", "sockmon-guard-1002.scope", "fail",
    ]  # fmt: skip
    assert asked[asked.index("PIDs") :][:5] == ["PIDs", "au", "2", "1002", "1001"]


@pytest.mark.fault("T7")
@pytest.mark.parametrize("does", ["exit 1", "kill -KILL $$"])
def test_T7_without_a_scope_if_the_bus_refuses(tmp_path: Path, does: str) -> None:
    assert not move_to_scope(1002, 1001, _busctl(tmp_path, does))


@pytest.mark.fault("T7")
def test_T7_a_hanging_bus_does_not_block_the_guard(tmp_path: Path) -> None:
    before = children_of(os.getpid())
    begun = time.monotonic()
    assert not move_to_scope(1002, 1001, _busctl(tmp_path, "exec sleep 600"))
    assert time.monotonic() - begun < 300
    assert set(children_of(os.getpid())) <= set(before)


@pytest.mark.fault("T7")
def test_T7_without_a_scope_if_there_is_no_busctl(tmp_path: Path) -> None:
    assert not move_to_scope(1002, 1001, None)
    assert not move_to_scope(1002, 1001, str(tmp_path / "busctl"))


def _write(root: Path, name: str, text: str) -> None:
    file = root / name
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.fault("T7")
def test_T7_a_unit_that_would_end_the_guard_is_reported(tmp_path: Path) -> None:
    assert early_end_reason("session-4.scope", tmp_path) == []
    assert early_end_reason("docker-1.scope", tmp_path) == []
    _write(tmp_path, "usr/lib/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\n")
    (words,) = early_end_reason("session-4.scope", tmp_path)
    assert words.startswith("a logout ends the guard (KillUserProcesses=yes in /usr/lib/systemd/logind.conf)")
    (words,) = early_end_reason("ansible.service", tmp_path)
    assert words.startswith("the guard ends when ansible.service ends")


def test_the_last_setting_of_logind_counts(tmp_path: Path) -> None:
    _write(tmp_path, "usr/lib/systemd/logind.conf", "[Login]\nKillUserProcesses=yes\n")
    _write(tmp_path, "etc/systemd/logind.conf", "[Login]\n#KillUserProcesses=yes\n")
    assert file_that_kills_at_logout(tmp_path) == ""
    _write(tmp_path, "usr/lib/systemd/logind.conf.d/50-a.conf", "[Login]\n KillUserProcesses = TRUE\n")
    assert file_that_kills_at_logout(tmp_path) == "/usr/lib/systemd/logind.conf.d/50-a.conf"
    _write(tmp_path, "run/systemd/logind.conf.d/60-b.conf", "[Login]\nKillUserProcesses=no\n")
    assert file_that_kills_at_logout(tmp_path) == ""
    _write(tmp_path, "etc/systemd/logind.conf.d/60-b.conf", "")
    assert file_that_kills_at_logout(tmp_path) == "/usr/lib/systemd/logind.conf.d/50-a.conf"
