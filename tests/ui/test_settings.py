"""The config file, and the keys in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from sockmon.errors import BadSettings
from sockmon.ui import keys, settings


def _write(folder: Path, text: str) -> Path:
    path = folder / "config.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_no_file_means_defaults(tmp_path: Path) -> None:
    assert settings.load(tmp_path / "none.toml") == settings.Settings()


def test_everything_can_be_set(tmp_path: Path) -> None:
    text = 'theme = "fjord"\ninterval = 2.5\nread_only = true\n[keys]\n"pane.ports" = "f6"\n'
    assert settings.load(_write(tmp_path, text)) == settings.Settings("fjord", 2.5, True, {"pane.ports": "f6"})


@pytest.mark.parametrize(
    "text",
    ["theme = 3", "interval = 0.01", "interval = 'x'", "colour = 'red'", "not toml", "[keys]\n'a' = 1", "\0"],
)
def test_a_bad_file_is_named_with_its_fault(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadSettings, match=r"config\.toml"):
        settings.load(_write(tmp_path, text))


def test_the_users_folder_follows_xdg(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert settings.home() == tmp_path / "sockmon"


def test_actions_have_one_id_and_one_key_each() -> None:
    assert len(keys.BY_ID) == len(keys.ACTIONS)
    assert keys.sound({}) == ({}, [])
    # While something is held its keys go before those of where one tunes.
    for place in ("held", "tune"):
        taken = [key for action in keys.ACTIONS if action.place != place for key in action.keys.split(",")]
        assert len(taken) == len(set(taken))


@pytest.mark.parametrize(
    ("bad", "fault"),
    [
        ({"pane.nothing": "x"}, "keys: no action is called 'pane.nothing'"),
        ({"sort": " , "}, "keys: sort has no key"),
        ({"sort": "q"}, "keys: 'q' is given to sort and to quit"),
        ({"sort": "/"}, "keys: '/' is given to filter and to sort"),
        ({"sort": "nosuchkey"}, "keys: sort: there is no key 'nosuchkey'"),
        ({"sort": "f99,ctrl+y"}, "keys: sort: there is no key 'f99'"),
    ],
)
def test_a_bad_entry_is_told_and_leaves_the_others_in_force(bad: dict[str, str], fault: str) -> None:
    good = {"pane.ports": "f9", "zoom": "ctrl+y, Z"}
    assert keys.sound({**good, **bad}) == ({"pane.ports": "f9", "zoom": "ctrl+y,Z"}, [fault])
    assert keys.sound({**bad, **good}) == ({"pane.ports": "f9", "zoom": "ctrl+y,Z"}, [fault])


def test_keys_can_be_exchanged() -> None:
    assert keys.sound({"sort": "q", "quit": "s"}) == ({"sort": "q", "quit": "s"}, [])
    assert keys.sound({action.id: action.keys for action in keys.ACTIONS})[1] == []


def test_keys_are_shown_as_printed() -> None:
    assert keys.show_keys("slash,f4") == "/ F4"
    assert keys.show_keys("ctrl+c") == "^C"
    assert keys.show_keys("question_mark") == "?"
