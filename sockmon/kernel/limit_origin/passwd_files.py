"""Users and their groups by /etc/passwd and /etc/group alone: a name service could hang."""

from __future__ import annotations

import os
from contextlib import suppress

from sockmon.kernel.limit_origin.limits_conf import Login

_MAX_PASSWD_BYTES = 4 << 20


def read_login(uid: int, root: str) -> Login | None:
    """Return a user of /etc/passwd with its groups of /etc/group; None if it is not there (LDAP, SSSD)."""
    row = next((row for row in _rows(f"{root}/etc/passwd") if len(row) > 3 and row[2] == str(uid)), None)
    if row is None or not row[3].isdigit():
        return None
    name, gid = row[0], int(row[3])
    groups, gids = set(), {gid}
    for group in _rows(f"{root}/etc/group"):
        if len(group) > 3 and group[2].isdigit() and (int(group[2]) == gid or name in group[3].split(",")):
            groups.add(group[0])
            gids.add(int(group[2]))
    return Login(name, uid, gid, frozenset(groups), frozenset(gids))


def home_of(uid: int, root: str) -> str:
    """Return the home of a user; empty if it is not in /etc/passwd."""
    row = next((row for row in _rows(f"{root}/etc/passwd") if len(row) > 5 and row[2] == str(uid)), None)
    return row[5] if row else ""


def _rows(path: str) -> list[list[str]]:
    with suppress(OSError), open(path, "rb", buffering=0) as file:
        return [line.split(":") for line in os.fsdecode(file.read(_MAX_PASSWD_BYTES)).split("\n")]
    return []
