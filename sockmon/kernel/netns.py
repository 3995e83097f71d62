"""Which /proc files of a network namespace are read, and how a namespace is opened: by name, PID or path."""

from __future__ import annotations

import errno
import os

from sockmon.errors import NoSuchNamespace
from sockmon.kernel import neighbours, sysctl
from sockmon.kernel.errnos import FORBIDDEN, NO_FREE_FILE
from sockmon.kernel.identity import OWN_NETNS
from sockmon.kernel.namespace_files import SOCKETS, open_files, open_for_visitors
from sockmon.kernel.namespace_handle import NetnsHandle
from sockmon.kernel.namespaces.lookup import OpenedNetns, is_id, matching, open_named
from sockmon.kernel.setns import EntryRefused, open_in_netns
from sockmon.model.other_netns import HOST, NetnsName
from sockmon.text import sanitize

NETNS_FILES = (
    "net/netstat",
    "net/protocols",
    "net/snmp",
    "net/sockstat",
    "net/sockstat6",
    "net/softnet_stat",
    "net/stat/nf_conntrack",
    *map(sysctl.path, sysctl.NETNS_KEYS),
)
HOST_FILES = ("loadavg", "meminfo", *neighbours.FILES, *map(sysctl.path, sysctl.HOST_KEYS))

_EXHAUSTED = (*NO_FREE_FILE, errno.EAGAIN, errno.ENOMEM)


def open_current(proc: str = "/proc", keeps_open: bool = True) -> NetnsHandle:
    """Return the handle of the namespace that sockmon runs in, with the files of the whole host.

    Its name is `host` if it is the initial one, which alone has net.ipv4.tcp_mem, else the kernel's name:
    `net:[4026532178]`. `keeps_open`: as for the handle."""
    opened = open_files(NETNS_FILES + HOST_FILES if keeps_open else (), proc, SOCKETS if keeps_open else ())
    initial = sysctl.path("net.ipv4.tcp_mem")
    known = initial in opened.files if keeps_open else os.path.exists(f"{proc}/{initial}")
    handle = NetnsHandle(HOST if known else f"net:[{opened.inode}]", opened, proc, keeps_open)
    handle.called = NetnsName(HOST, HOST) if known else None
    return handle


def open_netns(spec: str, more: tuple[str, ...] = (), most: int | None = None) -> NetnsHandle:
    """Return the handle of the network namespace `spec`; raise NoSuchNamespace. `more` are files to open besides
    those of every tick; no more than `most` are opened.

    It is the name of a container, pod, machine or unit or one of ip-netns(8), a container's id, a PID, or a path.
    Digits only are a PID if they are fewer than those of an id; a namespace whose name is a number is opened by
    its path."""
    title = sanitize(spec) or "(no name)"
    return _enter(_open_namespace(spec, title), title, more, most)


def open_matching(pattern: str, room: int) -> tuple[list[NetnsHandle], list[str]]:
    """Return the handles of the network namespaces whose names match the shell `pattern`, at most `room`, and the
    names of those that were left out or may not be entered; raise NoSuchNamespace if there is none."""
    title = sanitize(pattern)
    handles: list[NetnsHandle] = []
    left_out: list[str] = []
    with matching(pattern) as found:
        for called, open_it in found:
            if len(handles) == room:
                left_out.append(called.name)
                continue
            try:
                handles.append(_enter(open_it(), called.name))
            except (FileNotFoundError, ProcessLookupError):
                continue
            except (PermissionError, NoSuchNamespace):
                left_out.append(called.name)
    if not handles and left_out:
        raise _not_entered(title, errno.EPERM)
    if not handles:
        raise NoSuchNamespace(
            f"no network namespace has a name like {title}",
            "names are those of containers, pods, machines, units, and of `ip netns list`",
        )
    return handles, left_out


def is_pattern(spec: str) -> bool:
    """Return whether `--netns` is a shell pattern on names."""
    return spec[:1] != "/" and any(character in spec for character in "*?[")


def _enter(namespace: OpenedNetns, title: str, more: tuple[str, ...] = (), most: int | None = None) -> NetnsHandle:
    """Open the files of a namespace, and close its descriptor; raise NoSuchNamespace."""
    try:
        paths = tuple(dict.fromkeys(NETNS_FILES + more))
        opened = open_in_netns(namespace.descriptor, lambda: open_for_visitors(paths, most))
    finally:
        os.close(namespace.descriptor)
    if isinstance(opened, EntryRefused):
        raise _not_entered(title, opened.code)
    called = namespace.called
    handle = NetnsHandle(called.name if called else title, opened, keeps_open=most is None)
    handle.entry, handle.called = namespace.entry, called
    return handle


def _open_namespace(spec: str, title: str) -> OpenedNetns:
    """Open the namespace, and nothing but a namespace, because a device might react to it."""
    path = _namespace_path(spec)
    try:
        if _may_be_name(spec) and (named := open_named(spec)) is not None:
            return named
        found = os.stat(path)
        if found.st_dev != os.stat(OWN_NETNS).st_dev:
            raise NoSuchNamespace(
                f"{title} is not a network namespace", "`ip netns list` and `lsns -t net` show them"
            )
        return OpenedNetns(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY), spec)
    except ValueError:
        raise _not_found(spec, title) from None
    except OSError as error:
        if error.errno in FORBIDDEN:
            raise _not_entered(title, errno.EPERM) from None
        if error.errno in NO_FREE_FILE:
            raise _not_entered(title, error.errno) from None
        raise _not_found(spec, title) from None


def _namespace_path(spec: str) -> str:
    if "/" in spec:
        return spec
    return f"/proc/{spec}/ns/net" if _is_pid(spec) else f"/run/netns/{spec}"


def _may_be_name(spec: str) -> bool:
    """Return whether it is neither a PID nor a path; NAMESPACE/NAME of a pod is a name unless it is a path too."""
    return spec != "" and not (
        _is_pid(spec) or spec.startswith(("/", ".")) or ("/" in spec and os.path.exists(spec))
    )


def _is_pid(spec: str) -> bool:
    return spec.isascii() and spec.isdigit() and not is_id(spec)


def _not_found(spec: str, title: str) -> NoSuchNamespace:
    if _is_pid(spec):
        return NoSuchNamespace(
            f"there is no process {title}", "`lsns -t net` shows a process of each network namespace"
        )
    return NoSuchNamespace(
        f"there is no network namespace called {title}",
        "a name that `ip netns list` shows, that of a container, pod, machine or unit, a PID, or a path such as"
        " /proc/PID/ns/net works",
    )


def _not_entered(title: str, code: int) -> NoSuchNamespace:
    reason = os.strerror(code)
    hint = "free some and try again" if code in _EXHAUSTED else ""
    if code in FORBIDDEN:
        reason = "this user may not enter it"
        hint = "needs root: run sockmon with sudo"
        if os.geteuid() == 0:
            hint = "even root needs CAP_SYS_ADMIN here, and CAP_SYS_PTRACE for a process with more capabilities"
    elif code == errno.EINVAL:
        reason = "it is not a network namespace"
        hint = "`lsns -t net` shows the network namespaces"
    return NoSuchNamespace(f"cannot enter the network namespace {title}: {reason}", hint)
