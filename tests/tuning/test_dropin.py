"""The drop-in: complete or unchanged after a crash, other lines kept, not written if a later file would win."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sockmon.model.plan import Setting
from sockmon.model.transaction import Actor, SysctlFileEdit
from sockmon.tuning.boot.dropin import FILE, NotPersisted, persist, restore_lines
from tests.netns import child_environment, inside
from tests.tuning.sysctl_programs import (
    COMMANDS,
    cover,
    hide_the_machines,
    private_mounts,
    rename_loopback,
    values_after_run,
)

KEY = "net.core.somaxconn"
TEMPORARY = ".90-sockmon.conf.tmp"
SETTING = Setting(KEY, "4096", "8192")
RANGE = Setting("net.ipv4.ip_local_port_range", "32768 60999", "1024 64000")
WHO = Actor(uid=0, user="root", login="alice", terminal="pts/0")
DAY = 1_800_000_000.0
OURS = b"# sockmon t1, 2027-01-15, root (alice), was 4096\nnet.core.somaxconn = 8192\n"

_needs_strace = pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
_needs_userns = pytest.mark.usefixtures("needs_userns")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "etc/sysctl.d").mkdir(parents=True)
    return tmp_path


def _file(root: Path) -> Path:
    return root / FILE.lstrip("/")


def _names(root: Path) -> list[str]:
    return sorted(os.listdir(root / "etc/sysctl.d"))


def _refusal(root: Path, *settings: Setting, id: str = "t1") -> str:
    with pytest.raises(NotPersisted) as refused:
        persist(settings or (SETTING,), WHO, id, root)
    return refused.value.message


@pytest.mark.fault("T24")
def test_T24_a_new_file_and_out_again(root: Path) -> None:
    assert persist((SETTING, RANGE), WHO, "t1", root, DAY) == ()
    content = _file(root).read_bytes()
    assert content.startswith(b"# Values that were changed with sockmon")
    assert content.endswith(
        OURS
        + b"# sockmon t1, 2027-01-15, root (alice), was 32768 60999\nnet.ipv4.ip_local_port_range = 1024 64000\n"
    )
    assert _file(root).stat().st_mode & 0o7777 == 0o644
    persist((SETTING, RANGE), WHO, "t1", root, DAY)
    assert _file(root).read_bytes() == content
    first, second = (
        SysctlFileEdit(KEY, "", OURS.decode()),
        SysctlFileEdit(RANGE.key, "", content.split(OURS)[1].decode()),
    )
    assert restore_lines([second], root) == ()
    assert _file(root).read_bytes() == content.split(OURS)[0] + OURS
    assert restore_lines([first], root) == ()
    assert restore_lines([first], root) == ()
    assert _names(root) == []


@pytest.mark.fault("T24")
def test_P14_T24_each_undo_brings_back_the_lines_that_were_there_before(root: Path) -> None:
    said: list[tuple[SysctlFileEdit, ...]] = []
    persist((SETTING,), WHO, "t1", root, DAY, said.append)
    persist((Setting(KEY, "8192", "9000"), RANGE), WHO, "t2", root, DAY, said.append)
    with _file(root).open("ab") as file:
        file.write(b"vm.swappiness = 5\n")
    restore_lines(said[1], root, said.append)
    assert OURS in _file(root).read_bytes()
    assert RANGE.key.encode() not in _file(root).read_bytes()
    # And the undoing can be undone.
    restore_lines(said[2], root)
    assert _file(root).read_bytes().count(b"= 9000\n") == 1
    assert RANGE.key.encode() in _file(root).read_bytes()
    restore_lines(said[1], root)
    restore_lines(said[0], root)
    assert _file(root).read_bytes().endswith(b"alone.\nvm.swappiness = 5\n")
    assert restore_lines([SysctlFileEdit(KEY, "", "")], root) == ()


@pytest.mark.fault("T14", "T24")
def test_T14_T24_lines_of_ours_that_were_edited_are_left_alone(root: Path) -> None:
    persist((SETTING,), WHO, "t1", root, DAY)
    changed = _file(root).read_bytes().replace(b"= 8192", b"= 8192\xff")
    _file(root).write_bytes(changed)
    (word,) = restore_lines([SysctlFileEdit(KEY, "", OURS.decode())], root)
    assert word.startswith(f"the line for {KEY} in {FILE} was changed since: it was left alone")
    assert word.endswith(f"sockmon tune forget {KEY}")
    assert _file(root).read_bytes() == changed


@pytest.mark.fault("T24")
@pytest.mark.parametrize(
    "foreign",
    [
        b"# by hand\r\nvm.swappiness=10\r\n\r\n",
        b"\xef\xbb\xbf# mark\n-net.ipv4.conf.*.rp_filter = 1\n\tnet/ipv4/tcp_tw_reuse\t=1",
        b"net.core.somaxconn = 1\n# sockmon is nice\n\n# sockmon\nnonsense\x00\xff\x0b\x1c\x85here\n",
        b"# sockmon t0, long ago\n# but with a comment below\nnet.core.somaxconn = 17\n",
    ],
)
def test_T24_lines_of_others_stay_byte_for_byte(root: Path, foreign: bytes) -> None:
    _file(root).write_bytes(foreign)
    persist((SETTING,), WHO, "t1", root, DAY)
    end = b"" if foreign.endswith(b"\n") else b"\n"
    assert _file(root).read_bytes() == foreign + end + OURS
    with _file(root).open("ab") as file:
        file.write(b"vm.swappiness = 5\n")
    persist((Setting(KEY, "8192", "9000"),), WHO, "t2", root, DAY)
    later = OURS.replace(b"t1", b"t2").replace(b"4096", b"8192").replace(b"= 8192", b"= 9000")
    assert _file(root).read_bytes() == foreign + end + later + b"vm.swappiness = 5\n"
    assert restore_lines([SysctlFileEdit(KEY, "", later.decode())], root) == ()
    assert _file(root).read_bytes() == foreign + end + b"vm.swappiness = 5\n"


def test_a_later_file_wins_and_nothing_is_written(root: Path) -> None:
    later = root / "etc/sysctl.d/99-site.conf"
    later.write_text(f"\n{KEY} = 128\n")
    reason = _refusal(root)
    assert reason == f"/etc/sysctl.d/99-site.conf:2 wins at boot: {KEY} = 128"
    later.unlink()
    (root / "etc/sysctl.conf").write_text(f"{KEY} = 128\n")
    assert _refusal(root) == f"/etc/sysctl.conf:1 wins at boot: {KEY} = 128, under sysctl --system"
    assert _names(root) == []
    # The same value in a later file does no harm.
    (root / "etc/sysctl.conf").write_text(f"{KEY}=8192\n")
    persist((SETTING,), WHO, "t1", root)
    os.mkfifo(later)
    assert "99-site.conf cannot be read: not a regular file: it may hold a line that wins" in _refusal(root)


@pytest.mark.fault("S29")
def test_S29_a_key_of_a_module_comes_with_its_udev_rule(root: Path) -> None:
    key = "net.netfilter.nf_conntrack_max"
    (words,) = persist((Setting(key, "65536", "131072"),), WHO, "t1", root)
    assert 'KERNEL=="nf_conntrack"' in words
    assert "--prefix=/net/netfilter" in words


@pytest.mark.fault("S24")
@pytest.mark.parametrize(
    ("setting", "field"),
    [
        (Setting(KEY, "1", "1\nkernel.core_pattern=|/x"), "value"),
        (Setting(KEY, "1", "1\n"), "value"),
        (Setting(KEY, "1", "1\0"), "value"),
        (Setting(KEY, "1", "1;2"), "value"),
        (Setting(KEY, "1", "1 # x"), "value"),
        (Setting(KEY, "1", "１"), "value"),
        (Setting("net/../../etc/passwd", "1", "1"), "key"),
        (Setting("net.core.somaxconn\nx.y", "1", "1"), "key"),
        (Setting("-net.core.somaxconn", "1", "1"), "key"),
        (Setting("net.core.*", "1", "1"), "key"),
        (Setting("somaxconn", "1", "1"), "key"),
    ],
)
def test_S24_no_second_line_gets_in(root: Path, setting: Setting, field: str) -> None:
    assert _refusal(root, setting).startswith(f"the {field} ")
    assert _names(root) == []


@pytest.mark.fault("S24")
def test_S24_nor_by_what_a_comment_says(root: Path) -> None:
    assert _refusal(root, id="t1\nx").startswith("the id ")
    persist((Setting(KEY, "1\nvm.swappiness = 1\x1b", "2"),), Actor(0, "a\nb.c = 1\r", "d", ""), "t1", root, DAY)
    assert (
        _file(root)
        .read_bytes()
        .endswith(
            b"\n# sockmon t1, 2027-01-15, a?b.c = 1? (d), was 1?vm.swappiness = 1?\nnet.core.somaxconn = 2\n"
        )
    )
    assert "not a sysctl" in _refusal(root, Setting("nofile", "1:1", "2:2", pid=1))


@pytest.mark.fault("T23")
@pytest.mark.parametrize("name", ["90-sockmon.conf", TEMPORARY])
@pytest.mark.parametrize("kind", ["symlink", "hardlink", "fifo", "directory"])
def test_T23_what_was_planted_is_refused_and_left_alone(root: Path, name: str, kind: str) -> None:
    victim = root / "victim"
    victim.write_text("untouched")
    place = root / "etc/sysctl.d" / name
    if kind == "symlink":
        place.symlink_to(victim)
    elif kind == "hardlink":
        place.hardlink_to(victim)
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.mkdir()
    before = place.lstat()
    assert "90-sockmon.conf" in _refusal(root)
    assert victim.read_text() == "untouched"
    assert place.lstat().st_ino == before.st_ino
    assert _names(root) == [name]


@pytest.mark.fault("T23")
def test_T23_a_linked_directory_is_refused(root: Path) -> None:
    (root / "etc/sysctl.d").rename(root / "elsewhere")
    assert "it does not exist" in _refusal(root)
    (root / "etc/sysctl.d").symlink_to(root / "elsewhere")
    assert "it is a symbolic link" in _refusal(root)


def _full_and_read_only(root: str) -> list[str]:
    private_mounts()
    cover(root, "size=16k")
    os.makedirs(f"{root}/etc/sysctl.d")
    persist((RANGE,), WHO, "t0", root, DAY)
    before = _file(Path(root)).read_bytes()
    room = os.open(f"{root}/ballast", os.O_WRONLY | os.O_CREAT)
    try:
        while os.write(room, bytes(4096)):
            pass
    except OSError:
        os.close(room)
    said = [_refusal(Path(root))]
    cover(root, "", read_only=True)
    said.append(_refusal(Path(root)))
    assert _file(Path(root)).read_bytes() == before
    return [*said, *_names(Path(root))]


@pytest.mark.fault("T11")
@_needs_userns
def test_T11_a_full_and_a_read_only_disk(root: Path) -> None:
    assert inside(_full_and_read_only, str(root)) == [
        f"{FILE} cannot be written: there is no space left on the disk",
        f"{FILE} cannot be written: the file system is read-only",
        "90-sockmon.conf",
    ]


def _traced(root: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run `persist` in a child process under strace; the trace is in `root`/trace."""
    code = (
        "from tests.tuning.test_dropin import *\n"
        f"try: print(persist((SETTING,), WHO, 't1', {str(root)!r}, DAY))\n"
        "except NotPersisted as refused: print(refused.message)\n"
    )
    folder = root / "etc/sysctl.d"
    watched = [word for path in (folder, _file(root), folder / TEMPORARY) for word in ("-P", str(path))]
    return subprocess.run(
        ["strace", "-f", "-y", *watched, "-o", str(root / "trace"), *options, sys.executable, "-c", code],
        capture_output=True, text=True, check=False, timeout=60, cwd=root,
        env={**child_environment(), "PYTHONDONTWRITEBYTECODE": "1"},
    )  # fmt: skip


@_needs_strace
def test_P11_it_is_on_the_disk_before_it_has_the_name(root: Path) -> None:
    child = _traced(root, "-e", "trace=write,fsync,rename,renameat,renameat2")
    assert child.returncode == 0, child.stderr
    calls = re.findall(r"^\d+ +(\w+)\(\d*<?[^,>]*?([\w.-]*)>?[,)]", (root / "trace").read_text(), re.M)
    names = [(re.sub(r"at2?$", "", call), name) for call, name in calls]
    assert names == [
        ("write", TEMPORARY),
        ("fsync", TEMPORARY),
        ("rename", "sysctl.d"),
        ("fsync", "sysctl.d"),
    ]


@pytest.mark.fault("R15", "T11")
@_needs_strace
@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("write:error=ENOSPC", "no space left"),
        ("fsync:error=EIO:when=1", "Input/output error"),
        ("fsync:error=EDQUOT:when=1", "quota"),
        ("renameat,rename,renameat2:error=EPERM", "immutable"),
        ("fchmod:error=EPERM", "immutable"),
    ],
)
def test_T11_any_step_may_fail_and_leaves_the_old_file(root: Path, fault: str, words: str) -> None:
    _file(root).write_bytes(b"vm.swappiness = 5\n")
    child = _traced(root, "-e", f"inject={fault}")
    assert words in child.stdout, child.stdout + child.stderr
    assert _names(root) == ["90-sockmon.conf"]
    assert _file(root).read_bytes() == b"vm.swappiness = 5\n"


@pytest.mark.fault("R15")
@_needs_strace
def test_a_directory_that_may_not_reach_the_disk_is_said(root: Path) -> None:
    child = _traced(root, "-e", "inject=fsync:error=EIO:when=2")
    assert "may be lost in a power failure: Input/output error" in child.stdout, child.stdout + child.stderr
    assert _file(root).read_bytes().endswith(OURS)


@pytest.mark.fault("T1")
@_needs_strace
@pytest.mark.parametrize("call", ["write", "fchmod", "fsync", "renameat,rename,renameat2"])
def test_T1_killed_at_any_step_it_is_old_or_new_and_can_be_done_again(root: Path, call: str) -> None:
    old = b"vm.swappiness = 5\n"
    _file(root).write_bytes(old)
    assert _traced(root, "-e", f"inject={call}:signal=KILL:when=1").returncode != 0
    assert _file(root).read_bytes() in (old, old + OURS)
    persist((SETTING,), WHO, "t1", root, DAY)
    assert _file(root).read_bytes() == old + OURS
    assert _names(root) == ["90-sockmon.conf"]


def _after_boot() -> dict[str, str]:
    hide_the_machines()
    rename_loopback()
    Path("/etc/sysctl.d/10-site.conf").write_text(f"{KEY} = 128\n")
    persist((SETTING,), WHO, "t1")
    return {program: values_after_run(program)[KEY] for program, command in COMMANDS.items() if command}


@_needs_userns
def test_the_real_programs_set_what_was_persisted() -> None:
    if not any(COMMANDS.values()):
        pytest.skip("neither systemd-sysctl nor sysctl is installed")
    assert set(inside(_after_boot).values()) == {"8192"}
