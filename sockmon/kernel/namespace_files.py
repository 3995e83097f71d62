"""Open the files and netlink sockets of the network namespace of the calling thread, and name what failed."""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from sockmon.errors import NotPresent, ReadError
from sockmon.kernel.errnos import NO_FREE_FILE
from sockmon.kernel.identity import netns_inode, proc_net_inode
from sockmon.kernel.netlink import NETFILTER, ROUTE, SOCK_DIAG, open_netlink
from sockmon.kernel.probes import open_probes
from sockmon.kernel.setns import OpenedFiles
from sockmon.kernel.sockets import proc_net

SOCK_DIAG_SOCKETS = ("tick", "scan", "query")
SOCKETS = (*SOCK_DIAG_SOCKETS, "conntrack", "conntrack query", "route")
"""Names of the netlink sockets in `OpenedFiles.files`; each carries one dump at a time."""

_PROTOCOLS = {"conntrack": NETFILTER, "conntrack query": NETFILTER, "route": ROUTE}
_CONNTRACK_COUNT = "sys/net/netfilter/nf_conntrack_count"
_READER_NAMES = {
    "tick": "sock_diag",
    "scan": "sock_diag",
    "query": "sock_diag",
    "conntrack": "conntrack table",
    "conntrack query": "conntrack table",
    "route": "rtnetlink",
    "net/softnet_stat": "softnet",
    "net/stat/arp_cache": "neighbours",
    "net/stat/ndisc_cache": "neighbours",
    "net/stat/nf_conntrack": "conntrack",
}
_REASONS = {
    errno.EACCES: "may not be read by this user",
    errno.EPERM: "may not be read by this user",
    errno.EMFILE: "this process has no free file descriptor",
    errno.ENFILE: "the host has no free file (fs.file-max)",
}


def open_file(path: str, proc: str = "/proc") -> int:
    """Return a descriptor of /proc/`path` in the namespace of the calling thread; raise OSError."""
    if path.startswith("net/"):
        path = "thread-self/" + path
    return os.open(f"{proc}/{path}", os.O_RDONLY | os.O_CLOEXEC)


def open_any(name: str, proc: str = "/proc") -> int:
    """Return a descriptor of the netlink socket or of the file `name`; raise OSError."""
    return open_socket(name) if name in SOCKETS else open_file(name, proc)


def open_socket(name: str) -> int:
    """Return a descriptor of the netlink socket `name`; raise OSError, ENOENT if opening it would load a
    module."""
    if _PROTOCOLS.get(name) == NETFILTER:
        # Making this socket would load nfnetlink: check first that connection tracking is loaded.
        os.stat(f"/proc/{_CONNTRACK_COUNT}")
    return open_netlink(_PROTOCOLS.get(name, SOCK_DIAG)).detach()


def open_files(
    paths: tuple[str, ...], proc: str = "/proc", sockets: tuple[str, ...] = SOCKETS, most: int | None = None
) -> OpenedFiles:
    """Open every one of `sockets` and every file of `paths` in the namespace of the calling thread; no more than
    `most` of them."""
    opened = OpenedFiles()
    with suppress(OSError):
        opened.inode = netns_inode()
    with suppress(OSError):
        opened.proc_inode = proc_net_inode(f"{proc}/thread-self")
    for name in (*sockets, *paths):
        if most is not None and len(opened.files) >= most:
            opened.errors[name] = errno.EMFILE
            continue
        try:
            opened.files[name] = open_any(name, proc)
        except OSError as error:
            opened.errors[name] = error.errno or errno.EIO
    for name in SOCK_DIAG_SOCKETS:
        if opened.errors.get(name, errno.EMFILE) not in NO_FREE_FILE:
            opened.files |= open_proc_net(name, proc)
    return opened


def open_for_visitors(paths: tuple[str, ...], most: int | None = None) -> OpenedFiles:
    """Open the same for a process that stays outside of the namespace, and what it cannot open later; if it can
    keep only `most` open, one socket and files."""
    if most is not None:
        opened = open_files(paths, sockets=("scan",), most=most)
        for name in SOCKETS:
            if name not in opened.files:
                opened.errors.setdefault(name, errno.EMFILE)
        return opened
    opened = open_files(paths)
    opened.files |= open_probes()
    return opened


def open_proc_net(name: str, proc: str = "/proc") -> dict[str, int]:
    """Open the text files that replace the netlink socket `name`, by `NAME PATH`: each dump has its own offset in
    each."""
    found = {}
    for path in proc_net.FILES:
        with suppress(OSError):
            found[f"{name} {path}"] = open_file(path, proc)
    return found


def read_error(name: str, code: int) -> ReadError:
    """Return the error for a file or socket that failed with `code`; its reader is `sockstat`, or a sysctl key."""
    reader = _READER_NAMES.get(name) or name.removeprefix("net/")
    if name.startswith("sys/"):
        reader = name.removeprefix("sys/").replace("/", ".")
    if code in (errno.ENOENT, errno.ENOTDIR):
        return NotPresent(reader, "does not exist in this kernel or in this namespace")
    if name in SOCKETS and code not in NO_FREE_FILE:
        return ReadError(reader, f"netlink is refused ({os.strerror(code)})")
    return ReadError(reader, _REASONS.get(code, os.strerror(code)))
