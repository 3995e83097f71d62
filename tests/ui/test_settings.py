"""The config file, and the keys in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sockmon import settings
from sockmon.ceilings.selector import Selector
from sockmon.errors import BadSettings
from sockmon.text import sanitize
from sockmon.ui import keys
from tests.terminal import on_terminal

KNOWN = "theme, interval, cpu_percent, read_only, [keys], [levels], [actions]"


def _write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_means_defaults(tmp_path: Path) -> None:
    assert settings.load(tmp_path / "none.toml") == settings.Settings()


def test_everything_can_be_set(tmp_path: Path) -> None:
    text = 'theme = "fjord"\ninterval = 2.5\nread_only = true\n[keys]\n"pane.ports" = "f6"\n'
    assert settings.load(_write(tmp_path, text)) == settings.Settings("fjord", 2.5, True, {"pane.ports": "f6"})


@pytest.mark.parametrize("value", ["1" + "0" * 400, "0x" + "f" * 5000])
@pytest.mark.parametrize("key", ["interval", "levels.accept-queue.warning", "unknown.list"])
def test_a_number_that_no_float_can_hold_is_a_fault_of_the_file(tmp_path: Path, key: str, value: str) -> None:
    with pytest.raises(BadSettings):
        settings.load(_write(tmp_path, f"{key} = [{value}]" if "list" in key else f"{key} = {value}"))


@pytest.mark.parametrize("name", ['"\\u001b[31mx"', 'levels.accept-queue."\\u001b[31mx"', 'keys."\\u0007\\u202e"'])
def test_names_in_faults_are_safe_for_a_terminal(tmp_path: Path, name: str) -> None:
    (fault,) = settings.load(_write(tmp_path, f"{name} = 3")).faults
    assert fault == sanitize(fault, settings.MAX_FAULT_CHARACTERS)


def test_a_fault_does_not_repeat_all_of_a_long_value(tmp_path: Path) -> None:
    found = settings.load(_write(tmp_path, f"[levels.accept-queue]\nwarning = '{'x' * 9_000}'"))
    assert [len(fault) for fault in found.level_faults] == [settings.MAX_FAULT_CHARACTERS]


@pytest.mark.parametrize("text", ["not toml", "\0", "theme = ", "[keys"])
def test_a_file_that_is_not_toml_is_named_with_its_fault(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSettings, match=r"config\.toml"):
        settings.load(_write(tmp_path, text))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("theme = 3", "theme: expected text in quotes, got 3"),
        ("interval = 'x'", "interval: expected a number of seconds, got 'x'"),
        ("interval = true", "interval: expected a number of seconds, got true"),
        ("interval = 0.01", "interval: expected 0.2 to 60 seconds, got 0.01"),
        ("interval = nan", "interval: expected 0.2 to 60 seconds, got nan"),
        ("cpu_percent = 80", "cpu_percent: expected 0.5 to 50 per cent, got 80"),
        ("read_only = 1", "read_only: expected true or false, got 1"),
        ("read_only = 'yes'", "read_only: expected true or false, got 'yes'"),
        ("keys = 'q'", "keys: expected the section [keys], got 'q'"),
        ("[theme]\nname = 'fjord'", "theme: expected text in quotes, got a section"),
        ("[keys]\nsort = 1", "keys: sort: expected text in quotes, got 1"),
        ("[keys]\nsort = ['s']", "keys: sort: expected text in quotes, got a list"),
        ("them = 'fjord'", "unknown key them; nearest: theme"),
        ("read-only = true", "unknown key read-only; nearest: read_only"),
        ("colour = 'red'", f"unknown key colour; known: {KNOWN}"),
        ("[key]\nsort = 's'", "unknown section [key]; nearest: [keys]"),
        (
            "[layout]\nx = 1",
            f"unknown section [layout]; known: {KNOWN}",
        ),
    ],
)
def test_a_wrong_key_is_reported_and_the_rest_is_used(tmp_path: Path, text: str, fault: str) -> None:
    good = {"theme": "theme = 'fjord'", "interval": "interval = 2.5", "read_only": "read_only = true"}
    bad = text.split(maxsplit=1)[0].strip("[]")
    lines = [line for name, line in good.items() if name != bad]
    path = _write(tmp_path, "\n".join([*lines, text]))
    found = settings.load(path)
    assert found.faults == (f"{path}: {fault}",)
    assert found.theme == (None if bad == "theme" else "fjord")
    assert found.interval == (1.0 if bad == "interval" else 2.5)
    assert found.read_only == (bad != "read_only")


def test_all_faults_are_reported(tmp_path: Path) -> None:
    found = settings.load(_write(tmp_path, "colour = 1\ninterval = 'x'\n[keys]\nsort = 2\nzoom = 'f7'"))
    assert len(found.faults) == 3
    assert found.keys == {"zoom": "f7"}


def test_an_action_without_quotes_is_accepted(tmp_path: Path) -> None:
    assert settings.load(_write(tmp_path, "[keys]\npane.ports = 'f6'\n")).keys == {"pane.ports": "f6"}


def test_the_screen_reports_what_is_wrong_with_the_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "sockmon"
    folder.mkdir()
    _write(folder, "colour = 'red'\ninterval = 'x'\n[keys]\nsrt = 'f7'\n")
    for each in (tmp_path, *tmp_path.parents[:2], folder / "config.toml"):
        each.chmod(0o755 if each.is_dir() else 0o644)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with on_terminal() as terminal:
        # Longer words are broken between lines of the note.
        for word in ("colour", "'x'", "'srt'"):
            terminal.until(word)
        terminal.press("q")
        assert terminal.end() == 0


def test_an_unknown_theme_is_a_usage_error() -> None:
    with on_terminal("--theme", "fjrod") as terminal:
        assert terminal.end() == 64
        assert "unknown theme 'fjrod'; nearest: fjord" in terminal.screen()


def test_the_users_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert settings.config_dir() == tmp_path / "sockmon"


def test_actions_have_one_id_and_one_key_each() -> None:
    assert len(keys.BY_ID) == len(keys.ACTIONS)
    assert keys.validate({}) == ({}, [])
    taken = [keys.canonical(key) for action in keys.ACTIONS for key in action.keys.split(",")]
    assert len(taken) == len(set(taken))


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ({"pane.nothing": "x"}, "keys: unknown action 'pane.nothing'; nearest: 'pane.next'"),
        ({"sort": " , "}, "keys: sort has no key"),
        ({"sort": "q"}, "keys: 'q' is given to sort and to quit"),
        ({"sort": "/"}, "keys: '/' is given to filter and to sort"),
        ({"sort": "nosuchkey"}, "keys: sort: there is no key 'nosuchkey'"),
        ({"sort": "f99,ctrl+y"}, "keys: sort: there is no key 'f99'"),
    ],
)
def test_a_wrong_entry_is_reported_and_the_others_are_used(bad: dict[str, str], fault: str) -> None:
    good = {"pane.ports": "f9", "zoom": "ctrl+y, Z"}
    assert keys.validate({**good, **bad}) == ({"pane.ports": "f9", "zoom": "ctrl+y,Z"}, [fault])
    assert keys.validate({**bad, **good}) == ({"pane.ports": "f9", "zoom": "ctrl+y,Z"}, [fault])


def test_keys_can_be_exchanged() -> None:
    assert keys.validate({"sort": "q", "quit": "s"}) == ({"sort": "q", "quit": "s"}, [])
    assert keys.validate({action.id: action.keys for action in keys.ACTIONS})[1] == []


def test_keys_are_shown_as_printed() -> None:
    assert keys.show_keys("slash,f4") == "/ F4"
    assert keys.show_keys("ctrl+c") == "^C"
    assert keys.show_keys("question_mark") == "?"


def test_levels_are_read_and_what_is_refused_of_them_is_named_apart(tmp_path: Path) -> None:
    text = 'colour = 1\n[levels.accept-queue]\nwarning = 60\n[levels."process-fds:nginx*"]\nwarning = 0\n'
    found = settings.load(_write(tmp_path, text))
    assert [(rule.selector, rule.warning) for rule in found.levels] == [(Selector("accept-queue"), 0.6)]
    assert len(found.faults) == 2
    assert found.level_faults == found.faults[1:]
    assert settings.load(_write(tmp_path, "levels = 5")).level_faults
