"""A network namespace, and everything of it that is read: opened inside it once, and kept.

/proc/net and /proc/sys/net show the namespace of the task that *opens* a file, and a netlink socket stays in the
namespace that it was made in. So a Door that is open needs neither a fork nor a free descriptor to be read, from
whatever namespace; it also keeps the namespace alive.
"""

from __future__ import annotations

import errno
import os
import socket
import time
from contextlib import suppress

from sockmon.errors import Absent, NoSuchNamespace, Unreadable
from sockmon.kernel import neighbours, sysctl
from sockmon.kernel.netlink import NETFILTER, SOCK_DIAG, open_netlink
from sockmon.kernel.setns import Opened, Refused, open_inside
from sockmon.model.clean import clean

NET_FILES = (
    "net/netstat",
    "net/protocols",
    "net/snmp",
    "net/sockstat",
    "net/sockstat6",
    "net/softnet_stat",
    "net/stat/nf_conntrack",
)
NETNS_FILES = (*NET_FILES, *map(sysctl.path, sysctl.NETNS_KEYS))
HOST_FILES = ("loadavg", *neighbours.FILES, *map(sysctl.path, sysctl.HOST_KEYS))
CONNTRACK_COUNT = sysctl.path("net.netfilter.nf_conntrack_count")

RETRY_SECONDS = 10.0
"""How often a file that was not there is looked for again: a module may have been loaded since."""

_READERS = {
    "cheap": "sock_diag",
    "walk": "sock_diag",
    "focus": "sock_diag",
    "conntrack": "conntrack table",
    "net/softnet_stat": "softnet",
    "net/stat/arp_cache": "neighbours",
    "net/stat/ndisc_cache": "neighbours",
    "net/stat/nf_conntrack": "conntrack",
}
_LONGEST = 8 * 1024 * 1024
_REASONS = {
    errno.EACCES: "may not be read by this user",
    errno.EPERM: "may not be read by this user",
    errno.EMFILE: "this process has no free file descriptor",
    errno.ENFILE: "the host has no free file (fs.file-max)",
}


SOCKETS = ("cheap", "walk", "focus", "conntrack")
"""Names of the netlink sockets among `Opened.files`; every one carries one dump at a time."""


_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.EAGAIN, errno.ENOMEM)


def open_file(path: str, proc: str = "/proc") -> int:
    """A descriptor of /proc/`path` as the calling thread sees it; raises OSError."""
    if path.startswith("net/"):
        path = "thread-self/" + path
    return os.open(f"{proc}/{path}", os.O_RDONLY | os.O_CLOEXEC)


def open_socket(name: str) -> int:
    """A descriptor of the netlink socket `name`; raises OSError, ENOENT where it would load a module."""
    if name == "conntrack":
        # Making this socket loads nfnetlink, so whether connection tracking is there is asked first.
        os.stat(f"/proc/{CONNTRACK_COUNT}")
    return open_netlink(NETFILTER if name == "conntrack" else SOCK_DIAG).detach()


def open_all(paths: tuple[str, ...], proc: str = "/proc") -> Opened:
    """Every file of `paths` and every socket, from within the namespace that the caller is in."""
    opened = Opened()
    with suppress(OSError):
        opened.inode = os.stat("/proc/thread-self/ns/net").st_ino
    for name in (*SOCKETS, *paths):
        try:
            opened.files[name] = open_socket(name) if name in SOCKETS else open_file(name, proc)
        except OSError as error:
            opened.errors[name] = error.errno or errno.EIO
    return opened


def unreadable(name: str, code: int) -> Unreadable:
    """The error for a file or socket that answered with `code`, in words; its reader is `sockstat` or a key."""
    reader = _READERS.get(name) or name.removeprefix("net/")
    if name.startswith("sys/"):
        reader = name.removeprefix("sys/").replace("/", ".")
    if code in (errno.ENOENT, errno.ENOTDIR):
        return Absent(reader, "is not there in this kernel or in this namespace")
    return Unreadable(reader, _REASONS.get(code, os.strerror(code)))


class Door:
    """The way into one network namespace: its /proc files, its sysctls and its netlink sockets."""

    def __init__(self, name: str, opened: Opened, proc: str | None = None) -> None:
        """`proc` is where a file that was absent is looked for again; None for a namespace that is not ours."""
        self.name = name
        self.inode = opened.inode
        self._sockets = {key: _socket(opened.files.pop(key)) for key in SOCKETS if key in opened.files}
        self._files = opened.files
        self._errors = opened.errors
        self._tried: dict[str, float] = {}
        self._proc = proc

    @property
    def cheap(self) -> socket.socket:
        """sock_diag, for the short dumps of every tick."""
        return self._socket("cheap")

    @property
    def walk(self) -> socket.socket:
        """sock_diag, for the long dumps that are spread over ticks."""
        return self._socket("walk")

    @property
    def focus(self) -> socket.socket:
        """sock_diag, for what the operator asks about."""
        return self._socket("focus")

    @property
    def conntrack(self) -> socket.socket:
        """ctnetlink; raises Unreadable with the reason where there is none."""
        return self._socket("conntrack")

    def read(self, path: str, size: int = 65536) -> bytes:
        """The whole of /proc/`path` (`net/sockstat`, `sys/net/core/somaxconn`), in reads of `size` bytes.

        A sysctl answers one read only, so that `size` is what one gets of it at most. Raises Absent, Unreadable.
        """
        descriptor = self._files.get(path)
        if descriptor is None:
            descriptor = self._files[path] = self._again(path)
        try:
            if path.startswith("sys/"):
                return os.pread(descriptor, size, 0)
            return _whole(descriptor, size)
        except OSError as error:
            raise self._lost(path, error.errno or errno.EIO) from None

    def mode(self, path: str) -> int:
        """Permission bits of /proc/`path` in this namespace; raises Absent, Unreadable."""
        self.read(path)
        return os.fstat(self._files[path]).st_mode & 0o777

    def close(self) -> None:
        """Let go of the namespace; safe to call twice."""
        for each in self._sockets.values():
            each.close()
        for descriptor in self._files.values():
            os.close(descriptor)
        self._sockets.clear()
        self._files.clear()
        self._proc = None

    def _socket(self, name: str) -> socket.socket:
        if name not in self._sockets:
            self._sockets[name] = _socket(self._again(name))
        return self._sockets[name]

    def _again(self, name: str) -> int:
        """Open what could not be opened before: now and then, and in our own namespace only."""
        now = time.monotonic()
        if self._proc is not None and now >= self._tried.get(name, 0.0):
            self._tried[name] = now + RETRY_SECONDS
            try:
                return open_socket(name) if name in SOCKETS else open_file(name, self._proc)
            except OSError as error:
                self._errors[name] = error.errno or errno.EIO
        raise unreadable(name, self._errors.get(name, errno.ENOENT))

    def _lost(self, path: str, code: int) -> Unreadable:
        """An open file that stopped answering: its module is gone, so that it may come back as a new file."""
        if self._proc is not None and code in (errno.EIO, errno.ENOENT, errno.ENODEV):
            os.close(self._files.pop(path))
            self._errors[path] = code = errno.ENOENT
        return unreadable(path, code)


def open_here(proc: str = "/proc") -> Door:
    """The Door of the namespace that sockmon runs in, which also has the files of the whole host.

    It is called `host` where it is the initial one, which alone has net.ipv4.tcp_mem, else as the kernel calls it:
    `net:[4026532178]`."""
    opened = open_all(NETNS_FILES + HOST_FILES, proc)
    initial = sysctl.path("net.ipv4.tcp_mem") in opened.files
    return Door("host" if initial else f"net:[{opened.inode}]", opened, proc)


def open_other(spec: str, more: tuple[str, ...] = ()) -> Door:
    """The Door of the network namespace `spec`: a name below /run/netns, a PID, or a path; `more` are files that
    shall be open behind it, beside those of every tick.

    All digits are a PID; a namespace that is called by a number is reached by its path. Raises NoSuchNamespace.
    """
    title = clean(spec) or "(no name)"
    namespace = _open_namespace(spec, title)
    try:
        opened = open_inside(namespace, lambda: open_all(tuple(dict.fromkeys(NETNS_FILES + more))))
    finally:
        os.close(namespace)
    if isinstance(opened, Refused):
        raise _not_entered(title, opened.code)
    return Door(title, opened)


def _open_namespace(spec: str, title: str) -> int:
    """A descriptor of the namespace; nothing but a namespace is ever opened (a device might react to it)."""
    path = _namespace_path(spec)
    try:
        found = os.stat(path)
        if found.st_dev != os.stat("/proc/thread-self/ns/net").st_dev:
            raise NoSuchNamespace(
                f"{title} is not a network namespace", "`ip netns list` and `lsns -t net` show them"
            )
        return os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except ValueError:
        raise _not_found(spec, title) from None
    except OSError as error:
        if error.errno in (errno.EACCES, errno.EPERM):
            raise _not_entered(title, errno.EPERM) from None
        if error.errno in (errno.EMFILE, errno.ENFILE):
            raise _not_entered(title, error.errno) from None
        raise _not_found(spec, title) from None


def _namespace_path(spec: str) -> str:
    if "/" in spec:
        return spec
    if spec.isascii() and spec.isdigit():
        return f"/proc/{spec}/ns/net"
    return f"/run/netns/{spec}"


def _not_found(spec: str, title: str) -> NoSuchNamespace:
    if spec.isascii() and spec.isdigit():
        return NoSuchNamespace(
            f"there is no process {title}", "`lsns -t net` shows a process of each network namespace"
        )
    return NoSuchNamespace(
        f"there is no network namespace called {title}",
        "`ip netns list` shows the named ones; a PID or a path such as /proc/PID/ns/net works as well",
    )


def _not_entered(title: str, code: int) -> NoSuchNamespace:
    reason = os.strerror(code)
    hint = "free some and try again" if code in _EXHAUSTED else ""
    if code in (errno.EPERM, errno.EACCES):
        reason = "this user may not enter it"
        hint = "needs root: run sockmon with sudo"
        if os.geteuid() == 0:
            hint = "even root needs CAP_SYS_ADMIN here, and CAP_SYS_PTRACE for a process with more capabilities"
    elif code == errno.EINVAL:
        reason = "it is a namespace of another kind"
        hint = "`lsns -t net` shows the network namespaces"
    return NoSuchNamespace(f"cannot enter the network namespace {title}: {reason}", hint)


def _socket(descriptor: int) -> socket.socket:
    return socket.socket(fileno=descriptor)


def _whole(descriptor: int, size: int) -> bytes:
    """All of a seq_file: one read gives a page at most where the file has several records."""
    data = os.pread(descriptor, size, 0)
    if not data:
        return data
    while len(data) < _LONGEST:
        more = os.pread(descriptor, size, len(data))
        if not more:
            return data
        data += more
    raise OSError(errno.EFBIG, os.strerror(errno.EFBIG))
