"""User names without a name service."""

from __future__ import annotations

import os
import pwd
from pathlib import Path

from sockmon.kernel.users import Users, parse


def test_our_own_name_is_that_of_getpwuid() -> None:
    uid = os.getuid()
    assert Users().name(uid) in (str(uid), *(entry.pw_name for entry in pwd.getpwall() if entry.pw_uid == uid))


def test_whom_nobody_knows_keeps_the_number(tmp_path: Path) -> None:
    assert Users(str(tmp_path / "none")).name(4711) == "4711"


def test_broken_lines_are_passed_over_and_names_are_clean() -> None:
    text = b"root:x:0:0::/:\ntoor:x:0:0::/:\n\n# words\n+::::::\nno:x:minus:0:\nev\x1b[2Jil:x:7:7::/:\n"
    assert parse(text) == {0: "root", 7: "ev�[2Jil"}
