"""Run the two programs that apply sysctl.d at boot on trees of files that hide the files of this machine."""

from __future__ import annotations

import ctypes
import fcntl
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from sockmon.model.plan import Setting
from sockmon.model.transaction import SysctlFileEdit
from sockmon.sandbox.namespaces import TOOL_PATH
from sockmon.tunables import BY_KEY
from sockmon.tuning.boot.dropin import FILE, NotPersisted, persist, restore_lines
from sockmon.tuning.boot.kernel_rules import same_number
from sockmon.tuning.boot.replay import KeyReplay, replay
from sockmon.tuning.boot.sysctl_d import DIRECTORIES, PROCPS, SYSTEMD, SysctlProgram, path_of
from sockmon.tuning.boot.winning_line import read_boot_files
from tests.tuning.sample_change import ACTOR

_CLONE_NEWNS = 0x00020000
_MS_RDONLY, _MS_REMOUNT, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x1, 0x20, 0x1000, 0x4000, 0x40000
_MNT_DETACH = 2
_SIOCSIFFLAGS, _SIOCSIFNAME = 0x8914, 0x8923

COMMANDS: dict[SysctlProgram, list[str] | None] = {
    SYSTEMD: next(
        (
            [path]
            for path in ("/usr/lib/systemd/systemd-sysctl", "/lib/systemd/systemd-sysctl")
            if os.path.exists(path)
        ),
        None,
    ),
    PROCPS: [path, "--system"] if (path := shutil.which("sysctl", path=TOOL_PATH)) else None,
}

START = {
    "net.core.somaxconn": "4096",
    "net.ipv4.tcp_tw_reuse": "2",
    "net.ipv4.tcp_max_tw_buckets": "8192",
    "net.ipv4.ip_local_port_range": "32768 60999",
    "net.ipv4.ip_unprivileged_port_start": "1024",
    "net.ipv4.tcp_fin_timeout": "60",
    "net.ipv4.tcp_syncookies": "1",
    "net.ipv4.tcp_max_syn_backlog": "512",
    "net.ipv4.ip_local_reserved_ports": "",
    "net.ipv4.conf.all.log_martians": "0",
    "net.ipv4.conf.default.log_martians": "0",
    "net.ipv4.conf.lo/1.log_martians": "0",
    "net.ipv4.conf.all.rp_filter": "0",
    "net.ipv4.conf.default.rp_filter": "0",
    "net.ipv4.conf.lo/1.rp_filter": "0",
}
"""Keys of a private network namespace, none of which moves another, and where each tree begins."""

PORT_START = "net.ipv4.ip_unprivileged_port_start"

Tree = dict[str, bytes | str]
"""Path below the root → content; a string is where a link leads."""

_NAMES = ["10-a.conf", "50-b.conf", "90-sockmon.conf", "99-zzz.conf", "sockmon.conf", ".x.conf", ".conf", "B.conf"]
_NO_NAMES = ["README", "50-b.conf.tmp", "50-b.conf~", "99-z.conf.dpkg-new"]
_VALUES = {
    "net.core.somaxconn": [
        "128",
        "511",
        "65535",
        "010",
        "0x20",
        '"512"',
        "1024 # queue",
        "1025#c",
        "-1",
        "",
        "a b",
    ],
    "net.ipv4.tcp_tw_reuse": ["0", "1", "2", "3", "1;", "'1'"],
    "net.ipv4.tcp_max_tw_buckets": ["16384", "262144", "-5", "1e6", "1 2"],
    "net.ipv4.ip_local_port_range": [
        "1024 65535",
        "15000\t64000",
        "20000",
        "60000 1024",
        "2000 3000 4000",
        "1-2",
        "900 64000",
        "3000 64000 # wide",
        "50 x",
    ],
    "net.ipv4.ip_unprivileged_port_start": ["0", "80", "900", "1024", "3000", "40000", "65536", "443 # https"],
    "net.ipv4.tcp_fin_timeout": ["25", "25 ; x", "-1", "0x10", "2147484000", "30;"],
    "net.ipv4.tcp_syncookies": ["0", "2", "255", "256", "-0", "1\t# on"],
    "net.ipv4.tcp_max_syn_backlog": ["3000   # more room", "7000; #", "08", "+5", "18446744073709551616", "1e3"],
    "net.ipv4.ip_local_reserved_ports": ["8080", "8080,9000-9010", "", "9000-8000", "1,2,3", "70000", "40 50"],
}
_FLAGS = ["0", "1", "2", " 1 ", "1\t", "on"]
_PATTERNS = [
    "net.ipv4.conf.*.rp_filter",
    "net.ipv4.conf.*.log_martians",
    "net/ipv4/conf/*/rp_filter",
    "net.ipv4.conf.[ad]*.rp_filter",
    "net.ipv4.conf.lo?1.rp_filter",
    "net.ipv4.conf.lo/?.log_martians",
    "net/ipv4/conf/[[:alpha:]]*/*_martians",
    "net.ipv4.conf.[!a]*.rp_filter",
    "net.ipv4.*.log_martians",
    "net.ipv4.tcp_tw_reus?",
    "net.*.somaxconn",
    "*",
    "net/ipv4/conf/*",
]
_ODD = [
    b"",
    b"   ",
    b"# net.core.somaxconn = 1",
    b"; net.core.somaxconn = 2",
    b"net.core.somaxconn",
    b"=5",
    b"-",
    b"x",
    b"-=",
    b"net.core.no_such_key = 1",
    b"-net.core.no_such_key = 1",
    b"../net/core/somaxconn = 3",
    b"net/core/../core/somaxconn = 4",
    b"net..core.somaxconn = 5",
    b"net//core//somaxconn = 6",
    b"/net/core/somaxconn = 7",
    b"./net/core/somaxconn = 8",
    b"net/core/somaxconn/ = 9",
    b"- net.core.somaxconn = 10",
    b"--net.core.somaxconn = 11",
    b"net.core.somaxconn = 12\rnet.ipv4.tcp_tw_reuse = 1",
    b"net.core.somaxconn = 13\0net.ipv4.tcp_tw_reuse = 0",
    b"\0net.core.somaxconn = 14",
    b"net.core.somaxconn == 15",
    b"net.core.somaxconn = 16 = 17",
    b"\x0bnet.core.somaxconn = 18",
    b"net.core.somaxconn\x0c=\x0b19",
    b"net.ipv4.conf.lo.1.rp_filter = 1",
    b"net.ipv4/conf.lo = 1",
    b"net.core.somaxconn = 20",
]


def private_mounts() -> None:
    """What this process mounts from now on, nobody else sees."""
    _call("unshare", _CLONE_NEWNS)
    _call("mount", b"none", b"/", None, _MS_REC | _MS_PRIVATE, None)


def cover(directory: str, options: str, read_only: bool = False) -> None:
    """Mount an empty tmpfs, or make one read-only that is there already."""
    flags = _MS_REMOUNT | _MS_RDONLY if read_only else 0
    _call("mount", b"tmpfs", os.fsencode(directory), b"tmpfs", flags, options.encode())


def bind(source: str, target: str, read_only: bool = False) -> None:
    """Show `source` at `target` too, in the mounts of this process."""
    _call("mount", os.fsencode(source), os.fsencode(target), None, _MS_BIND | _MS_REC, None)
    if read_only:
        # A user namespace may not take away what /proc has: nosuid, nodev, noexec.
        flags = _MS_REMOUNT | _MS_BIND | _MS_RDONLY | 0x2 | 0x4 | 0x8
        _call("mount", b"none", os.fsencode(target), None, flags, None)


def uncover(directory: str) -> None:
    """Take away what was mounted there last, also where it is in use."""
    _call("umount2", os.fsencode(directory), _MNT_DETACH)


def _call(name: str, *arguments: object) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments):
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def hide_the_machines() -> list[str]:
    """Give this process, in a user namespace of its own, empty directories in place of the machine's own files;
    which of sysctl.d's directories trees may use."""
    private_mounts()
    covers = _covers()
    for directory in covers:
        cover(directory, "size=4m")
    usable = []
    for directory in DIRECTORIES:
        real = Path(os.path.realpath(f"/{directory}"))
        # Nothing is ever made outside of what was mounted just now.
        if any(real.is_relative_to(cover) for cover in covers) and str(real) == f"/{directory}":
            real.mkdir(parents=True, exist_ok=True)
            usable.append(directory)
    return usable


def _covers() -> list[str]:
    """/etc and /run entirely, and of the others what can be covered without hiding this Python."""
    covers = ["/etc", "/run"]
    for directory in map("/{}".format, DIRECTORIES[2:]):
        real = os.path.realpath(directory)
        if os.path.isdir(real) and real not in covers:
            covers.append(real)
        elif directory == "/usr/local/lib/sysctl.d" and not sys.base_prefix.startswith("/usr/local"):
            covers.append("/usr/local/lib")
    return covers


def rename_loopback() -> None:
    """Call `lo` `lo.1`: a name with a dot, as VLANs have."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", 0))
        fcntl.ioctl(any_socket, _SIOCSIFNAME, struct.pack("16s16s", b"lo", b"lo.1"))


def random_tree(seed: int, directories: list[str]) -> Tree:
    """A tree of files for sysctl.d, of all that is seen in the wild and some that is not."""
    chance = random.Random(seed)
    tree: Tree = {}
    for _ in range(chance.randint(1, 7)):
        name = chance.choice(_NAMES if chance.random() < 0.9 else _NO_NAMES)
        tree[f"{chance.choice(directories)}/{name}"] = _random_file(chance)
    if chance.random() < 0.5:
        tree["etc/sysctl.conf"] = _random_file(chance) if chance.random() < 0.95 else "/dev/null"
        if chance.random() < 0.5:
            tree["etc/sysctl.d/99-sysctl.conf"] = "../sysctl.conf"
    return tree


def _random_file(chance: random.Random) -> bytes | str:
    if (mask := chance.random()) < 0.08:
        return "/dev/null" if mask < 0.05 else "/nowhere"
    end = b"\r\n" if chance.random() < 0.15 else b"\n"
    lines = [_random_line(chance) for _ in range(chance.randint(0, 8))]
    mark = b"\xef\xbb\xbf" if chance.random() < 0.1 else b""
    return mark + end.join(lines) + (end if chance.random() < 0.8 else b"")


def _random_line(chance: random.Random) -> bytes:
    if (kind := chance.random()) < 0.15:
        return chance.choice(_ODD)
    key = chance.choice(_PATTERNS if kind < 0.4 else list(START))
    values = _VALUES.get(key, _FLAGS)
    if not key.startswith("net.ipv4.conf") and chance.random() < 0.2:
        key = path_of(key)
    if chance.random() < 0.15:
        return f"-{key}".encode()
    dash = "-" if chance.random() < 0.15 else ""
    blank = chance.choice(["", " ", "  ", "\t"])
    return f"{chance.choice(['', '', ' '])}{dash}{key}{blank}={blank}{chance.choice(values)}".encode()


def plant(tree: Tree, directories: list[str]) -> None:
    """Replace the previous tree with `tree`."""
    for directory in (*directories, "etc"):
        for entry in os.scandir(f"/{directory}"):
            if not entry.is_dir(follow_symlinks=False):
                os.unlink(entry.path)
    for path, content in tree.items():
        if isinstance(content, str):
            os.symlink(content, f"/{path}")
        else:
            Path("/", path).write_bytes(content)


def read_all() -> dict[str, str]:
    """Return the values in the kernel."""
    return {key: " ".join(_file(key).read_text().split()) for key in START}


def reset() -> None:
    """Restore the initial values."""
    # First the port start, as low as it goes: it must not be above the range.
    _file(PORT_START).write_text("0\n")
    for key, value in START.items():
        _file(key).write_text(value + "\n")


UNKNOWN = "?"


def predicted_values(program: SysctlProgram) -> dict[str, str]:
    """Return the values that the replay of `program` ends with, `?` for one that it does not know."""
    found = replay(read_boot_files().steps(program, map(path_of, START)))
    return {key: _predicted(found.of(key), begin) for key, begin in START.items()}


def _predicted(found: KeyReplay, begin: str) -> str:
    if found.unknown:
        return UNKNOWN
    return begin if found.value is None else found.value


def values_after_run(program: SysctlProgram) -> dict[str, str]:
    """Run `program`; return the values in the kernel."""
    reset()
    command = COMMANDS[program]
    assert command
    subprocess.run(command, capture_output=True, check=False, env={"LC_ALL": "C.UTF-8"}, timeout=30)
    return read_all()


def disagreements(program: SysctlProgram, first: int, count: int) -> tuple[int, list[str]]:
    """Return how many of the trees with these numbers change a value, and the wrong predictions. Runs in a private
    namespace."""
    directories = hide_the_machines()
    rename_loopback()
    moved = 0
    wrong = []
    for seed in range(first, first + count):
        tree = random_tree(seed, directories)
        plant(tree, directories)
        real, predicted = values_after_run(program), predicted_values(program)
        moved += real != START
        wrong += [
            f"tree {seed}: {key} is {real[key]!r}, predicted {predicted[key]!r}; {tree}"
            for key in START
            if real[key] != predicted[key] and not _doubted(key, predicted[key])
        ]
    return moved, wrong


def _doubted(key: str, predicted: str) -> bool:
    """Only for keys that sockmon has no row for, it may not know what the kernel accepts."""
    return predicted == UNKNOWN and key not in BY_KEY


def _file(key: str) -> Path:
    return Path("/proc/sys", path_of(key))


HOST_START = {
    "net.netfilter.nf_conntrack_max": "262144",
    "net.netfilter.nf_conntrack_buckets": "65536",
    "fs.inotify.max_user_instances": "128",
    "fs.inotify.max_user_watches": "192536",
    "fs.fanotify.max_user_groups": "128",
    "fs.fanotify.max_user_marks": "205039",
    "fs.file-max": "9223372036854775807",
    "fs.nr_open": "1048576",
    "kernel.pid_max": "4194304",
    "kernel.threads-max": "192730",
    "vm.max_map_count": "65530",
}
"""Keys of the whole host, by the first of their names, and where each tree begins."""
_HOST_VALUES = ["98304", "131072", "262144", "524288", "400384"]
_HOST_PATTERNS = [
    "net.*.nf_conntrack_max",
    "net.nf_conntrack_*",
    "net.netfilter.nf_conntrack_*",
    "fs.inotify.max_user_*",
    "user.max_inotify_*",
    "user.max_*",
    "fs.*.max_user_[iw]*",
    "*.*.max_user_watches",
    "fs.*-max",
    "kernel.*_max",
]


def copy_the_host_keys() -> None:
    """Cover /proc/sys with files in memory; names of one number are names of one file."""
    cover("/proc/sys", "size=4m")
    for key, value in HOST_START.items():
        first, *others = same_number(path_of(key))
        for path in (first, *others):
            Path("/proc/sys", path).parent.mkdir(parents=True, exist_ok=True)
        Path("/proc/sys", first).write_text(value + "\n")
        for path in others:
            os.link(Path("/proc/sys", first), Path("/proc/sys", path))


def host_tree(seed: int, directories: list[str]) -> Tree:
    """A tree of files about keys of the host, with several names of one number."""
    chance = random.Random(seed)
    names = [name for key in HOST_START for name in same_number(path_of(key))]
    files = {f"{chance.choice(directories)}/{chance.choice(_NAMES)}" for _ in range(chance.randint(1, 5))}
    if chance.random() < 0.5:
        files.add("etc/sysctl.conf")
    return {
        file: b"".join(_host_line(chance, names) for _ in range(chance.randint(0, 6))) for file in sorted(files)
    }


def _host_line(chance: random.Random, names: list[str]) -> bytes:
    key = chance.choice(_HOST_PATTERNS if chance.random() < 0.35 else names)
    if chance.random() < 0.12:
        return f"-{key}\n".encode()
    return f"{'-' if chance.random() < 0.1 else ''}{key} = {chance.choice(_HOST_VALUES)}\n".encode()


def host_disagreements(program: SysctlProgram, first: int, count: int) -> tuple[int, list[str]]:
    """Do the same as `disagreements` for keys of the host, in a copy of /proc/sys."""
    directories = hide_the_machines()
    copy_the_host_keys()
    command = COMMANDS[program]
    assert command
    paths = [path for key in HOST_START for path in same_number(path_of(key))]
    moved, wrong = 0, []
    for seed in range(first, first + count):
        for key, value in HOST_START.items():
            _file(key).write_text(value + "\n")
        tree = host_tree(seed, directories)
        plant(tree, directories)
        found = replay(read_boot_files().steps(program, paths))
        subprocess.run(command, capture_output=True, check=False, env={"LC_ALL": "C.UTF-8"}, timeout=30)
        # systemd does not truncate: what is left of a longer value stands in further lines.
        real = {key: _file(key).read_text().split("\n")[0] for key in HOST_START}
        moved += real != HOST_START
        wrong += [
            f"tree {seed}: {key} is {real[key]!r}, predicted {found.of(key)}; {tree}"
            for key in HOST_START
            if real[key] != _predicted(found.of(key), HOST_START[key])
        ]
    return moved, wrong


_PERSISTED = (
    {PORT_START: "900", "net.ipv4.ip_local_port_range": "900 64000"},
    {PORT_START: "2000", "net.ipv4.ip_local_port_range": "5000 61000"},
    {"net.ipv4.ip_local_port_range": "1024 65000"},
    {"net.ipv4.ip_local_port_range": "40000 60000", PORT_START: "33000"},
    {PORT_START: "80"},
    {"net.core.somaxconn": "777", "net.ipv4.tcp_fin_timeout": "33"},
)


def persisted_and_lost(program: SysctlProgram, first: int, count: int) -> tuple[int, list[str]]:
    """Persist two changes over each tree, and undo the second; return how often a change was persisted, and which
    value of a persisted one the real program did not leave. Runs in a private namespace."""
    directories = hide_the_machines()
    rename_loopback()
    Path("/etc/sysctl.d").mkdir(exist_ok=True)
    persisted, lost = 0, []
    for seed in range(first, first + count):
        chance = random.Random(seed)
        plant(
            {path: text for path, text in random_tree(seed, directories).items() if path != FILE[1:]}, directories
        )
        kept: dict[str, str] = {}
        edits: list[SysctlFileEdit] = []
        for number in range(2):
            wanted = chance.choice(_PERSISTED)
            edits = []
            with suppress(NotPersisted):
                settings = [Setting(key, START[key], value) for key, value in wanted.items()]
                persist(settings, ACTOR, f"t{number}", before_write=edits.extend)
                persisted += 1
                kept |= wanted
                left = values_after_run(program)
                lost += [f"tree {seed}: {key} is {left[key]!r}, persisted {value!r}" for key, value in kept.items()
                         if left[key] != value]  # fmt: skip
        restore_lines(edits)
        predicted, left = predicted_values(program), values_after_run(program)
        lost += [
            f"tree {seed}: after undo {key} is {left[key]!r}, predicted {predicted[key]!r}"
            for key in kept
            if left[key] != predicted[key]
        ]
    return persisted, lost
