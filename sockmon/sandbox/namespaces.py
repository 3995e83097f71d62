"""Private user, network, pid and mount namespaces: unshare(2), setns(2), and what is set up inside them."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import socket
import struct
from pathlib import Path

TOOL_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
"""The PATH for nft, ss, ip and conntrack: an ordinary user's PATH often lacks sbin."""
SERVICE_UID = 1000
"""A second user inside, if root may map one: it is `nobody` outside, and has no privilege inside."""
CLONE_FLAGS = {"user": 0x10000000, "net": 0x40000000, "mnt": 0x00020000, "pid": 0x20000000}
"""/proc/PID/ns/KIND → its flag for unshare(2) and setns(2), in the order in which they must be entered."""

STATE_ROOT = "/dev/shm"
"""Where sockmon keeps the state of a change inside a lab, instead of in the host's /run, /var and /etc."""
STATE_ROOT_VARIABLE = "SOCKMON_ROOT"
"""The environment variable that names it inside; empty if there is none (tuning/transaction/confinement.py)."""

_NOBODY = 65534
_STATE_ROOT_OPTIONS = b"size=16m,mode=1777"
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE, _MS_BIND = 0x2, 0x4, 0x8, 0x4000, 0x40000, 0x1000
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1

# Python 3.10 has neither os.unshare nor os.setns.
_libc = ctypes.CDLL(None, use_errno=True)
_entered: list[bool] = []
_private_mounts: list[bool] = []


def enter(user_namespace: bool = True, isolated: bool = False) -> None:
    """Move this single-threaded process into a new network namespace with `lo` up; raise OSError if not allowed.

    With `user_namespace` also into a user namespace in which it is root. With `isolated` also into a mount
    namespace, and its children into a pid namespace; the first child must call `mount_proc`."""
    kinds = ["net", *(["user"] if user_namespace else []), *(["mnt", "pid"] if isolated else [])]
    flags = sum(CLONE_FLAGS[kind] for kind in kinds)
    if user_namespace:
        _unshare_mapped(flags, os.geteuid(), os.getegid())
    else:
        _call("unshare", flags)
    _entered.append(True)
    if isolated:
        _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
        _private_mounts.append(True)
    raise_loopback()


def enter_container() -> None:
    """Move this process into a user namespace of its own, in which the service user of ours is root.

    The creator is the user that calls this. If there is no service user the caller is root inside."""
    uid = SERVICE_UID if _is_mapped(SERVICE_UID) else os.geteuid()
    # A change of user makes /proc/self root's: the map could not be written, and sockmon could not read it.
    _call("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0)
    _unshare_mapped(CLONE_FLAGS["user"], uid, uid)
    os.setresgid(0, 0, 0)
    os.setresuid(0, 0, 0)
    _call("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0)


def _unshare_mapped(flags: int, uid: int, gid: int) -> None:
    """Unshare, while a child that stays outside maps `uid` to root: from inside, only one id could be mapped."""
    me = os.getpid()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(writer)
        os._exit(_map_to_root(me, uid, gid) if os.read(reader, 1) else 0)
    os.close(reader)
    try:
        _call("unshare", flags)
        os.write(writer, b"!")
    finally:
        os.close(writer)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise OSError(code, f"uid_map: {os.strerror(code)}")


def _map_to_root(pid: int, uid: int, gid: int) -> int:
    """Write the id maps of the process `pid`; return the errno, 0 for success."""
    try:
        if uid != 0 or not _write_maps(pid, f"0 0 1\n{SERVICE_UID} {_NOBODY} 1"):
            # user_namespaces(7): an ordinary user, or root of a container, may map only its own id.
            Path(f"/proc/{pid}/setgroups").write_text("deny")
            Path(f"/proc/{pid}/uid_map").write_text(f"0 {uid} 1")
            Path(f"/proc/{pid}/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _write_maps(pid: int, lines: str) -> bool:
    """Write the same map for users and groups; return False, with nothing written, if it is not allowed."""
    try:
        Path(f"/proc/{pid}/uid_map").write_text(lines)
    except PermissionError:
        return False
    Path(f"/proc/{pid}/gid_map").write_text(lines)
    return True


def mount_proc() -> None:
    """Let /proc show only this pid namespace; raise OSError if that is refused, as in many containers."""
    _call("mount", b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None)


def mount_state_root() -> None:
    """Mount an empty tmpfs on STATE_ROOT, with the directories that a change needs; raise OSError if refused."""
    _call(
        "mount", b"tmpfs", STATE_ROOT.encode(), b"tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, _STATE_ROOT_OPTIONS
    )
    for name in ("run", "var/lib", "var/log", "etc/sysctl.d"):
        Path(STATE_ROOT, name).mkdir(mode=0o755, parents=True)


def mount_empty(path: str) -> None:
    """Hide the directory `path` behind an empty tmpfs of this mount namespace; raise OSError if refused."""
    _require_private_mounts()
    flags = _MS_NOSUID | _MS_NODEV | _MS_NOEXEC
    _call("mount", b"tmpfs", path.encode(), b"tmpfs", flags, _STATE_ROOT_OPTIONS)


def mount_netns(pid: int, path: str) -> None:
    """Keep the network namespace of process `pid` alive at `path`, as `ip netns attach` does; raise OSError."""
    _require_private_mounts()
    Path(path).parent.mkdir(mode=0o755, parents=True, exist_ok=True)
    Path(path).touch(mode=0o444)
    _call("mount", f"/proc/{pid}/ns/net".encode(), path.encode(), None, _MS_BIND, None)


def _require_private_mounts() -> None:
    if not _private_mounts:
        raise RuntimeError("refused, because this process is in the host's mount namespace")


def join_process(pid: int) -> bool:
    """Enter the namespaces of process `pid` that differ from ours.

    Return True if the pid namespace is one of them: then only our children will be in it."""
    descriptors = {kind: os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in CLONE_FLAGS}
    other = {
        kind: descriptor
        for kind, descriptor in descriptors.items()
        if os.fstat(descriptor).st_ino != os.stat(f"/proc/self/ns/{kind}").st_ino
    }
    for kind, descriptor in other.items():
        _call("setns", descriptor, CLONE_FLAGS[kind])
    return "pid" in other


def die_with_parent(signal: int) -> None:
    """Let the kernel send `signal` when the parent dies; a change of credentials or user namespace undoes it."""
    _call("prctl", _PR_SET_PDEATHSIG, signal, 0, 0, 0)


def raise_loopback() -> None:
    """Set `lo` up; it is down in a new network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack_from("16sh", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def set_sysctl(key: str, value: str) -> None:
    """Write a sysctl of the private namespace; raise RuntimeError if this process has not entered one."""
    if not _entered:
        raise RuntimeError(f"{key}: refused, because this process is in the host's network namespace")
    Path("/proc/sys", key.replace(".", "/")).write_text(value)


def become_service_user() -> None:
    """Become the service user, whom RLIMIT_NPROC binds, unlike the host's root.

    If only one id is mapped this does nothing: then root inside is an ordinary user, and is bound itself."""
    if _is_mapped(SERVICE_UID):
        os.setgroups([])
        os.setresgid(SERVICE_UID, SERVICE_UID, SERVICE_UID)
        os.setresuid(SERVICE_UID, SERVICE_UID, SERVICE_UID)
        # A change of user hides the descriptors from everyone but the host's root.
        _call("prctl", _PR_SET_DUMPABLE, 1, 0, 0, 0)


def _is_mapped(uid: int) -> bool:
    with open("/proc/self/uid_map") as lines:
        return any(int(line.split()[0]) == uid for line in lines)


def userns_errno() -> int:
    """Return the errno with which the kernel refuses this user private namespaces; 0 if it allows them."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            enter()
            code = 0
        except OSError as error:
            code = error.errno or 1
        finally:
            os._exit(code)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _call(name: str, *argv: object) -> None:
    if getattr(_libc, name)(*argv) == -1:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")
