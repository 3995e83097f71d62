"""The line that wins at boot: the prediction against the real programs, on SOCKMON_TREES random trees of files."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from sockmon.tuning.boot.sysctl_d import PROCPS, PROGRAMS, SYSTEMD, SysctlProgram, path_of
from sockmon.tuning.boot.winning_line import read_boot_files
from tests.netns import inside
from tests.tuning.sysctl_programs import COMMANDS, disagreements, host_disagreements, persisted_and_lost

_TREES = int(os.environ.get("SOCKMON_TREES", "120"))
_BATCH, _SMALL_BATCH = 500, 60
"""Trees in one namespace, because one call may take two minutes."""

KEY = "net.core.somaxconn"


def _root(tmp_path: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            file.symlink_to(content)
        else:
            file.write_bytes(content)
    return tmp_path


def _winners(root: Path, key: str = KEY) -> list[str | None]:
    """Return the winning line with its value under systemd-sysctl and under procps."""
    writes = [replay.of(key).decided_by for replay in read_boot_files(root).replays([key]).values()]
    return [f"{write.source}={' '.join(write.written.decode().split())}" if write else None for write in writes]


@pytest.mark.fault("S25", "S26", "S27", "S28")
@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize("program", PROGRAMS)
def test_S25_S26_S27_S28_generated_trees_end_as_the_real_programs_leave_them(program: SysctlProgram) -> None:
    if COMMANDS[program] is None:
        pytest.skip(f"{program} is not installed")
    moved = 0
    for first in range(0, _TREES, _BATCH):
        some, wrong = inside(disagreements, program, first, min(_BATCH, _TREES - first))
        assert not wrong, "\n".join(wrong[:5])
        moved += some
    # Trees that change nothing would agree with anything.
    assert moved > _TREES / 2


@pytest.mark.fault("S15", "S28")
@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize("program", PROGRAMS)
def test_S15_S28_generated_trees_about_several_names_of_one_number(program: SysctlProgram) -> None:
    if COMMANDS[program] is None:
        pytest.skip(f"{program} is not installed")
    moved = 0
    for first in range(0, _TREES, _BATCH):
        some, wrong = inside(host_disagreements, program, first, min(_BATCH, _TREES - first))
        assert not wrong, "\n".join(wrong[:5])
        moved += some
    assert moved > _TREES / 2


@pytest.mark.fault("S26")
@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize("program", PROGRAMS)
def test_S26_what_was_persisted_over_generated_trees_is_what_the_real_programs_leave(
    program: SysctlProgram,
) -> None:
    if COMMANDS[program] is None:
        pytest.skip(f"{program} is not installed")
    persisted = 0
    for first in range(0, _TREES // 2, _SMALL_BATCH):
        some, lost = inside(persisted_and_lost, program, first, min(_SMALL_BATCH, _TREES // 2 - first))
        assert not lost, "\n".join(lost[:5])
        persisted += some
    assert persisted > _TREES // 4


@pytest.mark.fault("S25")
def test_S25_sysctl_conf_and_hidden_files_count_for_procps_alone(tmp_path: Path) -> None:
    root = _root(
        tmp_path,
        {
            "etc/sysctl.d/50-a.conf": b"net.core.somaxconn = 203\n",
            "etc/sysctl.d/.x.conf": b"net.ipv4.tcp_tw_reuse = 1\n",
            "etc/sysctl.conf": b"\nnet.core.somaxconn = 211\n",
        },
    )
    assert _winners(root) == ["/etc/sysctl.d/50-a.conf:1=203", "/etc/sysctl.conf:2=211"]
    assert _winners(root, "net.ipv4.tcp_tw_reuse") == [None, "/etc/sysctl.d/.x.conf:1=1"]
    replays = read_boot_files(root).replays([KEY])
    assert not replays[SYSTEMD].of(KEY).replaced
    assert [write.source for write in replays[PROCPS].of(KEY).replaced] == ["/etc/sysctl.d/50-a.conf:1"]
    # The link that Debian has makes it one of the files that systemd reads.
    (root / "etc/sysctl.d/99-sysctl.conf").symlink_to("../sysctl.conf")
    assert _winners(root) == ["/etc/sysctl.conf:2=211"] * 2


@pytest.mark.fault("S26")
def test_S26_letters_come_after_digits_and_a_name_counts_once(tmp_path: Path) -> None:
    root = _root(
        tmp_path,
        {
            "etc/sysctl.d/99-zzz.conf": b"net.core.somaxconn = 1\n",
            "usr/lib/sysctl.d/sockmon.conf": b"net.core.somaxconn = 2\n",
            "run/sysctl.d/sockmon.conf": b"net.core.somaxconn = 3\n",
        },
    )
    assert _winners(root) == ["/run/sysctl.d/sockmon.conf:1=3"] * 2
    files = read_boot_files(root)
    replaced = files.replays([KEY])[PROCPS].of(KEY).replaced
    assert [write.source for write in replaced] == ["/etc/sysctl.d/99-zzz.conf:1"]
    for program in PROGRAMS:
        assert [(each.line.at, each.hidden_by) for each in files.hidden[program]] == [
            ("/usr/lib/sysctl.d/sockmon.conf:1", "/run/sysctl.d/sockmon.conf")
        ]
    # A link to /dev/null hides the files of its name, and sets nothing.
    (root / "etc/sysctl.d/sockmon.conf").symlink_to("/dev/null")
    assert _winners(root) == ["/etc/sysctl.d/99-zzz.conf:1=1"] * 2


@pytest.mark.fault("S27")
def test_S27_what_is_seen_in_the_wild(tmp_path: Path) -> None:
    root = _root(
        tmp_path,
        {
            "etc/sysctl.d/1.conf": b"\xef\xbb\xbfnet.core.somaxconn = 1\r\nnet.ipv4.tcp_tw_reuse = 1\r\n",
            "etc/sysctl.d/2.conf": b'net.core.netdev_max_backlog = "9"\nvm.max_map_count = 7 # seven\n',
            "etc/sysctl.d/3.conf": b"net/ipv4/conf/eth0.100/rp_filter = 2\n"
            b"-net.ipv4.ip_local_port_range=1025\t2000\n",
        },
    )
    assert _winners(root) == [None, None]
    assert _winners(root, "net.ipv4.tcp_tw_reuse") == ["/etc/sysctl.d/1.conf:2=1"] * 2
    assert _winners(root, "net.ipv4.conf.eth0/100.rp_filter") == ["/etc/sysctl.d/3.conf:1=2"] * 2
    assert _winners(root, "net.ipv4.ip_local_port_range") == ["/etc/sysctl.d/3.conf:2=1025 2000"] * 2
    assert _winners(root, "vm.max_map_count") == ["/etc/sysctl.d/2.conf:2=7 # seven"] * 2
    found = read_boot_files(root).replays(["net.core.netdev_max_backlog", "vm.max_map_count"])[SYSTEMD]
    assert found.of("vm.max_map_count").ignored == "# seven"
    assert found.of("net.core.netdev_max_backlog").refused[0].outcome.errno == "EINVAL"
    assert path_of("net.ipv4.conf.eth0/100.rp_filter") == "net/ipv4/conf/eth0.100/rp_filter"


@pytest.mark.fault("S28")
def test_S28_a_pattern_gives_way_to_a_line_for_the_key_and_to_an_exclusion(tmp_path: Path) -> None:
    root = _root(
        tmp_path,
        {
            "etc/sysctl.d/1.conf": b"net.ipv4.conf.all.rp_filter = 0\n-net.ipv4.conf.lo.rp_filter\n",
            "etc/sysctl.d/9.conf": b"net.ipv4.conf.*.rp_filter = 2\n",
        },
    )
    assert _winners(root, "net.ipv4.conf.all.rp_filter") == ["/etc/sysctl.d/1.conf:1=0"] * 2
    assert _winners(root, "net.ipv4.conf.eth0.rp_filter") == ["/etc/sysctl.d/9.conf:1=2"] * 2
    assert _winners(root, "net.ipv4.conf.lo.rp_filter") == [None, None]
    # Only a procps that asks fnmatch() heeds an exclusion that is a pattern.
    (root / "etc/sysctl.d/2.conf").write_bytes(b"-net.ipv4.conf.eth?.rp_filter\n")
    assert _winners(root, "net.ipv4.conf.eth0.rp_filter") == ["/etc/sysctl.d/9.conf:1=2", None]
    _root(tmp_path, {"usr/sbin/sysctl": b"\x7fELF glob"})
    assert _winners(root, "net.ipv4.conf.eth0.rp_filter") == ["/etc/sysctl.d/9.conf:1=2"] * 2
    # systemd forgets the line that an exclusion comes after; procps writes it.
    (root / "etc/sysctl.d/5.conf").write_bytes(b"-net.ipv4.conf.all.rp_filter\n")
    assert _winners(root, "net.ipv4.conf.all.rp_filter") == [None, "/etc/sysctl.d/1.conf:1=0"]


def test_what_cannot_be_read_is_said_and_never_waited_for(tmp_path: Path) -> None:
    root = _root(
        tmp_path, {"etc/sysctl.d/1.conf": b"net.core.somaxconn = 1\n", "etc/sysctl.d/3.conf": "/dev/zero"}
    )
    os.mkfifo(root / "etc/sysctl.d/2.conf")
    assert read_boot_files(root).unread == (
        "/etc/sysctl.d/2.conf cannot be read: not a regular file",
        "/etc/sysctl.d/3.conf cannot be read: not a regular file",
    )
    assert "cannot be read" in read_boot_files(root).replays([KEY])[PROCPS].of(KEY).unknown
    assert _winners(tmp_path / "nothing") == [None, None]


def test_what_no_program_can_open_sets_nothing_and_hides_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = _root(
        tmp_path,
        {
            "etc/sysctl.d/1.conf": b"net.core.somaxconn = 1\n",
            "etc/sysctl.d/loop.conf": "loop.conf",
            "etc/sysctl.d/through.conf": "1.conf/x",
            "run/sysctl.d/loop.conf": b"net.core.somaxconn = 2\n",
        },
    )
    (root / "usr/local/lib").mkdir(parents=True)
    (root / "usr/local/lib/sysctl.d").symlink_to("sysctl.d")
    monkeypatch.chdir(root / "etc/sysctl.d")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("s.conf")
    assert read_boot_files(root).unread == ()
    assert _winners(root) == ["/etc/sysctl.d/1.conf:1=1"] * 2


def test_who_wrote_a_file(tmp_path: Path) -> None:
    root = _root(
        tmp_path,
        {
            "etc/sysctl.d/60-site.conf": b"#\n# Ansible managed\n#\nnet.core.somaxconn = 1\n",
            "etc/sysctl.d/61-own.conf": b"net.core.somaxconn = 1\n# puppet would do the same\x1b[2J\n",
        },
    )
    assert read_boot_files(root).written_by == {
        "/etc/sysctl.d/60-site.conf": "Ansible",
        "/etc/sysctl.d/61-own.conf": "Puppet",
    }
