"""Who RLIMIT_NPROC spares, and as whom a user namespace shows a user: /proc/PID/uid_map, user_namespaces(7)."""

from __future__ import annotations

from sockmon.kernel import process_files

_ADMIN, _RESOURCE = 21, 24  # CAP_SYS_ADMIN and CAP_SYS_RESOURCE, include/uapi/linux/capability.h
_EXEMPTING = 1 << _ADMIN | 1 << _RESOURCE
_EVERYONE = (0, 0, 0xFFFFFFFF)

UidMap = tuple[tuple[int, int, int], ...]
"""(first uid inside, first uid outside, how many)."""


def parse_uid_map(text: bytes) -> UidMap:
    """The lines of a uid_map; ValueError when it is none."""
    found = []
    for line in text.splitlines():
        inside, outside, length = map(int, line.split())
        found.append((inside, outside, length))
    return tuple(found)


def outside(uid_map: UidMap, uid: int) -> int | None:
    """The user that `uid` is outside of the namespace; None for one who has no name inside."""
    for inside, first, length in uid_map:
        if inside <= uid < inside + length:
            return first + uid - inside
    return None


class Exemption:
    """Decides whether RLIMIT_NPROC binds a process, from where we are.

    copy_process() (kernel/fork.c) spares the host's uid 0, in whatever user namespace it is, and who has
    CAP_SYS_RESOURCE or CAP_SYS_ADMIN in the initial one. From a user namespace of our own, capabilities that we
    see therefore count for nothing, and its root is taken for the host's where it is uid 0 one level up."""

    def __init__(self, proc: int) -> None:
        self._proc = proc
        self._own = self._map("self")
        self.initial = self._own in ((), (_EVERYONE,))
        """True where we seem to be in the initial user namespace: every user is shown as who he is."""

    def named(self, uid: int) -> bool:
        """False for the overflow uid, which stands for all users that our namespace has no name for."""
        return self.initial or outside(self._own, uid) is not None

    def spares(self, pid: int, uid: int, capabilities: int) -> bool:
        """True where RLIMIT_NPROC does not bind this process; raises OSError when it has ended."""
        if (uid if self.initial else outside(self._own, uid)) == 0:
            return True
        if not self.initial or not capabilities & _EXEMPTING:
            return False
        return self._map(str(pid)) in ((), (_EVERYONE,))

    def _map(self, process: str) -> UidMap:
        """Empty where the kernel has no user namespaces."""
        try:
            return parse_uid_map(process_files.read(f"{process}/uid_map", self._proc))
        except (FileNotFoundError, ValueError):
            return ()
