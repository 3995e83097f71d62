"""The limit of a cgroup as a target of the guard; its file stays open, so a rollback needs no free descriptor."""

from __future__ import annotations

import ctypes
import errno
import os
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from sockmon.errors import NotPresent, ReadError, TuningError
from sockmon.kernel.cgroups.limits import find_limit_file, format_limit, parse_limit
from sockmon.model.plan import Setting

_CGROUP_MAGICS = (0x63677270, 0x27E0EB)
"""CGROUP2_SUPER_MAGIC and CGROUP_SUPER_MAGIC, include/uapi/linux/magic.h."""

_libc = ctypes.CDLL(None, use_errno=True)


class CgroupTarget:
    """A limit of the cgroup with this path and this inode.

    Raise FileNotFoundError if that cgroup was removed, as systemd does when a unit ends."""

    def __init__(self, setting: Setting, proc: str = "/proc") -> None:
        self.key, self._name = setting.key, setting.name
        try:
            place = find_limit_file(setting.key, setting.cgroup, proc)
        except NotPresent as error:
            raise FileNotFoundError(errno.ENOENT, error.message) from error
        except ReadError as error:
            raise OSError(errno.EIO, error.message) from error
        self._unified = place.unified
        try:
            directory = os.open(place.directory, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise FileNotFoundError(errno.ENOENT, "the cgroup was removed") from error
        try:
            if os.fstat(directory).st_ino != setting.start:
                raise FileNotFoundError(errno.ENOENT, "the cgroup was removed, and another has its name now")
            flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
            self._file = os.open(place.name, flags, dir_fd=directory)
        finally:
            os.close(directory)
        try:
            self._require_cgroup()
        except BaseException:
            self.close()
            raise

    def _require_cgroup(self) -> None:
        """Raise TuningError if another file is mounted over the kernel's."""
        statfs = (ctypes.c_long * 32)()
        if _libc.fstatfs(self._file, ctypes.byref(statfs)) or statfs[0] not in _CGROUP_MAGICS:
            raise TuningError(f"{self._name}: this is not a file of the kernel's")

    def read(self) -> str:
        with _removed_as_not_found():
            raw = os.pread(self._file, 256, 0)
        try:
            return parse_limit(raw)
        except ReadError as error:
            raise OSError(errno.EIO, error.message) from error

    def write(self, value: str) -> None:
        with _removed_as_not_found():
            os.pwrite(self._file, format_limit(value, self._unified, self.key), 0)

    def equal(self, one: str, other: str) -> bool:
        return one == other

    def close(self) -> None:
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def cgroup_command(key: str, cgroup: str, value: str) -> str:
    """Return the shell command that sets a limit of a cgroup by hand."""
    try:
        place = find_limit_file(key, cgroup)
    except ReadError:
        return f"write {value} to {key} of cgroup {shlex.quote(cgroup)}"
    text = format_limit(value, place.unified, key).decode().strip()
    return f"echo {text} > {shlex.quote(place.file)}"


@contextmanager
def _removed_as_not_found() -> Iterator[None]:
    """Raise FileNotFoundError for ENODEV, which the kernel returns for a file of a cgroup that was removed."""
    try:
        yield
    except OSError as error:
        if error.errno != errno.ENODEV:
            raise
        raise FileNotFoundError(errno.ENOENT, "the cgroup was removed") from error
