"""The directories that are used if sudo, su or runuser has left the environment of another user."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sockmon import settings, user_dirs
from sockmon.errors import BadSettings
from sockmon.ui.appearance import themes

NOBODY = 65534


@pytest.fixture
def foreign(tmp_path: Path) -> str:
    """A directory that belongs to another user."""
    if os.geteuid() != 0:
        return "/"
    tmp_path.chmod(0o711)
    other = tmp_path / "other"
    other.mkdir(0o700)
    os.chown(other, NOBODY, NOBODY)
    return str(other)


@contextmanager
def ordinary() -> Iterator[None]:
    """Root passes every permission check, so it becomes another user here."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.mark.fault("X5")
def test_a_home_of_another_user_is_not_used(monkeypatch: pytest.MonkeyPatch, foreign: str) -> None:
    monkeypatch.setenv("HOME", foreign)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    home = pwd.getpwuid(os.geteuid()).pw_dir
    assert user_dirs.config() == Path(home, ".config")
    assert user_dirs.state() == Path(home, ".local/state")


@pytest.mark.fault("X5")
def test_directories_of_another_user_are_not_used(
    monkeypatch: pytest.MonkeyPatch, foreign: str, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for variable in ("XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        # Of what does not exist, the directory above decides.
        monkeypatch.setenv(variable, os.path.join(foreign, "not/there"))
    assert user_dirs.config() == tmp_path / ".config"
    assert user_dirs.state() == tmp_path / ".local/state"


def test_own_directories_are_used_although_they_do_not_exist(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "c"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "s"))
    assert (user_dirs.config(), user_dirs.state()) == (tmp_path / "c", tmp_path / "s")
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_dirs.config() == tmp_path / ".config"


def test_a_user_without_an_entry_has_no_directories(monkeypatch: pytest.MonkeyPatch, foreign: str) -> None:
    def unknown(uid: int) -> object:
        raise KeyError(uid)

    monkeypatch.setenv("HOME", foreign)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert user_dirs.config() == Path("/nonexistent/.config")
    assert settings.load() == settings.Settings()


def test_what_cannot_be_read_is_reported_and_not_fatal(tmp_path: Path) -> None:
    tmp_path.chmod(0o711)
    closed = tmp_path / "sockmon"
    closed.mkdir(0o000)
    try:
        with ordinary():
            with pytest.raises(BadSettings, match=r"config\.toml: Permission denied"):
                settings.load(closed / "config.toml")
            (fault,) = themes.load(closed / "themes").faults
    finally:
        # pytest, as an ordinary user, cannot remove a directory without permissions.
        closed.chmod(0o700)
    assert "themes: Permission denied" in fault.message
