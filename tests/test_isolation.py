"""Neither the environment nor the current directory chooses code that runs with privilege."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from sockmon import own_command
from tests.netns import ROOT
from tests.terminal import on_terminal

COMMAND = Path(sys.executable).parent / "sockmon"
MODULES = (
    "sitecustomize",
    "usercustomize",
    "sockmon",
    "click",
    "msgspec",
    "textual",
    "json",
    "pkgutil",
    "hostile",
)
LATER = ("click", "msgspec", "textual", "rich", "psutil")
"""What `python -m sockmon` imports after its own package: the packages that it needs."""


@pytest.fixture(params=["root", "user namespace"])
def privileged(request: pytest.FixtureRequest) -> list[str]:
    """What makes the command behind it root."""
    request.getfixturevalue("root_only" if request.param == "root" else "needs_userns")
    return [] if request.param == "root" else ["unshare", "--user", "--map-root-user", "--"]


def hostile(folder: Path, modules: tuple[str, ...]) -> dict[str, str]:
    """Modules that note their names in `ran` when they are imported, and variables that point to them."""
    version = f"python{sys.version_info[0]}.{sys.version_info[1]}"
    user_site = folder / "lib" / version / "site-packages"
    user_site.mkdir(parents=True)
    for name in modules:
        note = f"open({str(folder / 'ran')!r}, 'a').write({name!r} + chr(10))\nclass Driver: pass\n"
        for place in (folder, user_site):
            (place / f"{name}.py").write_text(note)
    return {
        "PYTHONPATH": str(folder),
        "PYTHONSTARTUP": str(folder / "hostile.py"),
        "PYTHONUSERBASE": str(folder),
        "HOME": str(folder),
        "TEXTUAL_DRIVER": "hostile:Driver",
        "TEXTUAL_LOG": str(folder / "log"),
        "TEXTUAL_SCREENSHOT": "1",
        "TEXTUAL_SCREENSHOT_LOCATION": str(folder),
    }


def ran(folder: Path) -> str:
    path = folder / "ran"
    return path.read_text() if path.exists() else ""


@pytest.mark.fault("X5")
def test_the_command_runs_nothing_of_a_hostile_environment(privileged: list[str], tmp_path: Path) -> None:
    variables = hostile(tmp_path, MODULES) | {"PYTHONHOME": str(tmp_path)}
    done = subprocess.run(
        [*privileged, str(COMMAND), "check", "--json"],
        cwd=tmp_path, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran(tmp_path) == ""
    assert json.loads(done.stdout)["schema"] == 1, done.stderr


@pytest.mark.fault("X5")
def test_the_screen_and_its_children_run_nothing_of_it(privileged: list[str], tmp_path: Path) -> None:
    variables = hostile(tmp_path, MODULES)
    with on_terminal(command=[*privileged, str(COMMAND)], variables=variables, cwd=tmp_path) as terminal:
        terminal.until("open files")
        terminal.press("q")
        terminal.end()
    assert ran(tmp_path) == ""
    # TEXTUAL_LOG and TEXTUAL_SCREENSHOT would have written here.
    assert {path.suffix for path in tmp_path.iterdir()} == {"", ".py"}
    assert [path.name for path in tmp_path.iterdir() if not path.suffix] == ["lib"]


def test_as_a_module_it_starts_itself_once_more(privileged: list[str], tmp_path: Path) -> None:
    variables = hostile(tmp_path, LATER) | {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)])}
    del variables["PYTHONUSERBASE"]
    done = subprocess.run(
        [*privileged, sys.executable, "-m", "sockmon", "check", "--json"],
        cwd=tmp_path, env={**os.environ, **variables}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert ran(tmp_path) == ""
    assert json.loads(done.stdout)["schema"] == 1, done.stderr


def test_the_command_without_a_python_next_to_it_is_isolated_too(privileged: list[str], tmp_path: Path) -> None:
    """As `pip install` puts it into /usr/local/bin, while Python is in /usr/bin."""
    apart, found = tmp_path / "apart", tmp_path / "found"
    apart.mkdir()
    found.mkdir()
    (apart / "sockmon").write_bytes((ROOT / "bin" / "sockmon").read_bytes())
    (found / "python3").write_text(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')
    for script in (apart / "sockmon", found / "python3"):
        script.chmod(0o755)
    variables = hostile(tmp_path / "evil", MODULES) | {"PATH": f"{found}:{os.environ['PATH']}"}
    done = subprocess.run(
        [*privileged, str(apart / "sockmon"), "check", "--json"],
        cwd=tmp_path / "evil", env={**os.environ, **variables}, capture_output=True, text=True, timeout=60,
        check=False,
    )  # fmt: skip
    assert ran(tmp_path / "evil") == ""
    assert json.loads(done.stdout)["schema"] == 1, done.stderr


def test_the_command_may_be_a_link(tmp_path: Path) -> None:
    (tmp_path / "sockmon").symlink_to(COMMAND)
    done = subprocess.run(["sockmon", "--version"], env={"PATH": f"{tmp_path}:/usr/bin:/bin"}, capture_output=True)
    assert (done.returncode, done.stderr) == (0, b"")


@pytest.mark.usefixtures("unprivileged_only")
def test_the_environment_of_an_ordinary_user_is_theirs(tmp_path: Path) -> None:
    variables = hostile(tmp_path, ("hostile", "sitecustomize")) | {"PYTHONPATH": f"{ROOT}:{tmp_path}"}
    done = subprocess.run(
        [sys.executable, "-m", "sockmon", "--version"], env={**os.environ, **variables}, check=False
    )
    assert done.returncode == 0
    assert ran(tmp_path) == "sitecustomize\n"


@pytest.mark.parametrize(
    ("python", "command"),
    [("/srv/app/.venv/bin/python3", "/srv/app/.venv/bin/sockmon"), ("/usr/bin/python3", "sockmon")],
)
def test_the_command_for_sudo_is_one_that_sudo_finds(
    python: str, command: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", python)
    monkeypatch.setattr(os, "access", lambda path, mode: True)
    assert own_command.command() == command
