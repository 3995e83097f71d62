"""Private namespaces for a lab: user, network, and where asked for pid and mount (unshare(2), setns(2))."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import resource
import socket
import struct
from pathlib import Path

TOOLS = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
"""Where to look for nft, ss and conntrack: an ordinary user's PATH often leaves sbin out."""
SERVICE = 1000
"""A second user inside, where root may map one: nobody outside, without any privilege inside."""
KINDS = {"user": 0x10000000, "net": 0x40000000, "mnt": 0x00020000, "pid": 0x20000000}
"""/proc/PID/ns/KIND → its flag for unshare and setns, in the order in which they must be entered."""

HOME = "/dev/shm"
"""Where a lab with mounts of its own keeps what changes need, instead of in the host's /run, /var and /etc."""
HOME_NAME = "SOCKMON_ROOT"
"""What the environment calls it for those that run inside (sockmon.tuning.inside); empty: there is none."""

_NOBODY = 65534
_HOME_SIZE = b"size=16m,mode=1777"
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 0x2, 0x4, 0x8, 0x4000, 0x40000
_PR_SET_PDEATHSIG = 1
_SIOCGIFFLAGS = 0x8913
_SIOCSIFFLAGS = 0x8914
_IFF_UP = 0x1

# Python 3.10 has neither os.unshare nor os.setns.
_libc = ctypes.CDLL(None, use_errno=True)
_entered: list[bool] = []


def enter(user_namespace: bool = True, isolated: bool = False) -> None:
    """Move this (single-threaded) process into a network namespace of its own, with `lo` up; with
    `user_namespace` also into a user namespace where it is root. With `isolated` its children live in a pid
    namespace, the first of which must call `mount_proc`. OSError where that is forbidden."""
    kinds = ["net", *(["user"] if user_namespace else []), *(["mnt", "pid"] if isolated else [])]
    flags = sum(KINDS[kind] for kind in kinds)
    if user_namespace:
        _unshare_mapped(flags)
    else:
        _call("unshare", flags)
    _entered.append(True)
    if isolated:
        _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)
    raise_loopback()


def _unshare_mapped(flags: int) -> None:
    """Unshare, while a child that stays behind maps us to root: from inside, only one id could be mapped."""
    me, uid, gid = os.getpid(), os.geteuid(), os.getegid()
    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(tell)
        os._exit(_map(me, uid, gid) if os.read(told, 1) else 0)
    os.close(told)
    try:
        _call("unshare", flags)
        os.write(tell, b"!")
    finally:
        os.close(tell)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code:
        raise OSError(code, f"uid_map: {os.strerror(code)}")


def _map(pid: int, uid: int, gid: int) -> int:
    """Write the maps of the process `pid`; the errno, 0 for success."""
    try:
        if uid != 0 or not _write_maps(pid, f"0 0 1\n{SERVICE} {_NOBODY} 1"):
            # user_namespaces(7): who is not root, or root of a container, may map no user but its own.
            Path(f"/proc/{pid}/setgroups").write_text("deny")
            Path(f"/proc/{pid}/uid_map").write_text(f"0 {uid} 1")
            Path(f"/proc/{pid}/gid_map").write_text(f"0 {gid} 1")
    except OSError as error:
        return error.errno or errno.EIO
    return 0


def _write_maps(pid: int, lines: str) -> bool:
    """Map users and groups alike; False, with nothing written, where these may not be mapped."""
    try:
        Path(f"/proc/{pid}/uid_map").write_text(lines)
    except PermissionError:
        return False
    Path(f"/proc/{pid}/gid_map").write_text(lines)
    return True


def mount_proc() -> None:
    """Let /proc show this pid namespace alone; OSError where that is refused, as in many containers."""
    _call("mount", b"proc", b"/proc", b"proc", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, None)


def mount_home() -> None:
    """Lay an empty file system of our own over HOME, with the directories that changes are kept in; OSError."""
    _call("mount", b"tmpfs", HOME.encode(), b"tmpfs", _MS_NOSUID | _MS_NODEV | _MS_NOEXEC, _HOME_SIZE)
    for name in ("run", "var/lib", "var/log", "etc/sysctl.d"):
        Path(HOME, name).mkdir(mode=0o755, parents=True)


def join(pid: int) -> bool:
    """Enter those namespaces of process `pid` that are not ours already; True: only children are in its pid
    namespace."""
    doors = {kind: os.open(f"/proc/{pid}/ns/{kind}", os.O_RDONLY | os.O_CLOEXEC) for kind in KINDS}
    other = {
        kind: door
        for kind, door in doors.items()
        if os.fstat(door).st_ino != os.stat(f"/proc/self/ns/{kind}").st_ino
    }
    for kind, door in other.items():
        _call("setns", door, KINDS[kind])
    return "pid" in other


def die_with_parent(signal: int) -> None:
    """PR_SET_PDEATHSIG; a change of credentials or of the user namespace undoes it."""
    _call("prctl", _PR_SET_PDEATHSIG, signal, 0, 0, 0)


def raise_loopback() -> None:
    """Set `lo` up, which is down in a new network namespace."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh14x", b"lo", 0)
        flags = struct.unpack_from("16sh", fcntl.ioctl(any_socket, _SIOCGIFFLAGS, request))[1]
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", flags | _IFF_UP))


def set_sysctl(key: str, value: str) -> None:
    """Write a sysctl of the private namespace; refuses in a process that has not entered one."""
    if not _entered:
        raise RuntimeError(f"{key}: refused, this process is in the host's own namespace")
    Path("/proc/sys", key.replace(".", "/")).write_text(value)


def raise_descriptor_limit() -> None:
    """Take all descriptors that the hard limit allows."""
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def refusal() -> int:
    """The errno with which this user is refused a user and network namespace; 0: they may have them."""
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
