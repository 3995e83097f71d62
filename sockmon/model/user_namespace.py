"""User namespaces, and whose counts grow with what a process has: kernel/ucount.c keeps one for each user in each
user namespace, and charges the user who created the namespace too."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

UNREADABLE = -1
"""The number of a user namespace that cannot be read."""
_MAX_DEPTH = 33
"""Levels at most (create_user_ns() of kernel/user_namespace.c); a forged recording may have a circle."""

UserCount = tuple[int, int]
"""(user namespace, user): what has a count, and a limit, of its own."""


class UserNamespace(msgspec.Struct, frozen=True):
    """A user namespace other than sockmon's own, whose number is 0."""

    inode: int
    parent: int | None
    """The namespace that it was created in; None if the kernel does not report it, as for our own ancestors."""
    owner: int | None
    """The effective user who created it; None if unknown."""


def charged(namespaces: Mapping[int, UserNamespace], inode: int, uid: int) -> Iterator[UserCount]:
    """Yield what the kernel charges for a process of `uid` in the namespace `inode`: the user, then creators."""
    for _ in range(_MAX_DEPTH):
        yield inode, uid
        namespace = namespaces.get(inode)
        if namespace is None or namespace.parent is None or namespace.owner is None:
            return
        inode, uid = namespace.parent, namespace.owner
