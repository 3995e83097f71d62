"""What writes sysctls at boot, apart from the files of sysctl.d."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sockmon.model.plan import Setting
from sockmon.tuning.boot.atomic_file import NotPersisted
from sockmon.tuning.boot.dropin import persist
from sockmon.tuning.boot.forecast import boot_forecasts
from sockmon.tuning.boot.replay import BootWrite
from sockmon.tuning.boot.sources import steps_after, steps_before
from sockmon.tuning.boot.sources.credential import credential_file
from sockmon.tuning.boot.sources.kernel_command_line import command_line_writes, parameters
from sockmon.tuning.boot.sources.module_options import applied_at_load, module_writes
from sockmon.tuning.boot.sources.systemd_start import systemd_writes
from sockmon.tuning.boot.sources.udev_rules import udev_writes
from sockmon.tuning.boot.sysctl_d import SYSTEMD, parse_lines
from tests.netns import inside
from tests.tuning.sample_change import ACTOR
from tests.tuning.sysctl_programs import COMMANDS, hide_the_machines
from tests.tuning.writer_trees import SOMAXCONN, tree

MAX = "net.netfilter.nf_conntrack_max"
UNIT = "usr/lib/systemd/system/systemd-sysctl.service"
LOAD, IMPORT = "[Service]\nLoadCredential=sysctl.extra\n", "[Service]\nImportCredential=sysctl.extra\n"


def wrote(steps: object) -> list[tuple[str, str, str]]:
    assert isinstance(steps, list)
    return [(step.path, step.written.decode(), step.source) for step in steps if isinstance(step, BootWrite)]


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        (b"quiet root=/dev/sda1\tro\n", [(b"quiet", None), (b"root", b"/dev/sda1"), (b"ro", None)]),
        (b'a="1 2" "b=3 4" c=5"6 7"', [(b"a", b"1 2"), (b"b", b"3 4"), (b"c", b'5"6 7"')]),
        (b"a=1 -- b=2", [(b"a", b"1")]),
        (b"a=1=2 b= --=3", [(b"a", b"1=2"), (b"b", b""), (b"--", b"3")]),
        (b"", []),
        (b'a="', [(b"a", b"")]),
    ],
)
def test_parameters_as_the_kernel_reads_them(line: bytes, expected: list[tuple[bytes, bytes | None]]) -> None:
    assert list(parameters(line)) == expected


def test_sysctls_on_the_kernel_command_line(tmp_path: Path) -> None:
    line = (
        b"sysctl.net.core.somaxconn=100 sysctl/vm/swappiness=1 sysctl.net.core/rmem_max=5 sysctl.kernel.pid_max"
        b' sysctl.fs.nr_open= sysctlx.a.b=1 mysysctl.a.b=2 sysctl.net.ipv4.ip_local_port_range="2000 3000"'
        b" sysctl.net.core.somaxconn=200 -- sysctl.vm.max_map_count=9"
    )
    assert wrote(list(command_line_writes(line, tmp_path))) == [
        ("net/core/somaxconn", "100", "the kernel command line"),
        ("vm/swappiness", "1", "the kernel command line"),
        ("net/core/rmem_max", "5", "the kernel command line"),
        ("net/ipv4/ip_local_port_range", "2000 3000", "the kernel command line"),
        ("net/core/somaxconn", "200", "the kernel command line"),
    ]


def test_a_sysctl_of_a_module_is_not_there_when_the_kernel_starts(tmp_path: Path) -> None:
    line = b"sysctl.net.netfilter.nf_conntrack_max=5 sysctl.net.nf_conntrack_max=6"
    assert list(command_line_writes(line, tmp_path)) == []
    module = tmp_path / "sys/module/nf_conntrack"
    module.mkdir(parents=True)
    (module / "initstate").write_text("live\n")
    assert list(command_line_writes(line, tmp_path)) == []
    (module / "initstate").unlink()
    assert [one.written for one in command_line_writes(line, tmp_path)] == [b"5", b"6"], "it is built in"


def test_the_options_of_a_module(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "etc/modprobe.d/50-a.conf": (
                "# options nf_conntrack hashsize=1\noptions nf-conntrack \\\n hashsize=100000\n"
            ),
            "usr/lib/modprobe.d/50-a.conf": "options nf_conntrack hashsize=7\n",
            "usr/lib/modprobe.d/60-b.conf": (
                "options nf_conntrack_ftp hashsize=8\noptions nf_conntrack expect_hashsize=0x100\n"
            ),
            "etc/modprobe.d/99-none": "options nf_conntrack hashsize=9\n",
        },
    )
    place = "/etc/modprobe.d/50-a.conf:2"
    expected = [
        ("net/netfilter/nf_conntrack_buckets", "100352", place),
        ("net/netfilter/nf_conntrack_max", "802816", place),
        ("net/netfilter/nf_conntrack_expect_max", "1024", "/usr/lib/modprobe.d/60-b.conf:2"),
    ]
    assert wrote(list(module_writes(root, b""))) == expected
    # modprobe puts what the kernel command line has behind its own options.
    line = b"nf_conntrack.hashsize=512"
    assert wrote(list(module_writes(root, line)))[:2] == [
        ("net/netfilter/nf_conntrack_buckets", "512", "the kernel command line"),
        ("net/netfilter/nf_conntrack_max", "4096", "the kernel command line"),
    ]
    assert wrote(list(module_writes(root, b"nf_conntrack.hashsize=lots"))) == expected[2:]


def test_a_module_that_is_built_in_takes_its_options_from_the_kernel_command_line_alone(tmp_path: Path) -> None:
    root = tree(tmp_path, {"etc/modprobe.d/a.conf": "options nf_conntrack hashsize=512\n"})
    (root / "sys/module/nf_conntrack").mkdir(parents=True)
    assert list(module_writes(root, b"")) == []
    found = module_writes(root, b"nf_conntrack.hashsize=1024")
    assert [one.written for one in found] == [b"1024", b"8192"]


def test_what_applies_sysctl_d_when_nf_conntrack_is_loaded(tmp_path: Path) -> None:
    root = tree(tmp_path, {"etc/modprobe.d/x.conf": "install nf_conntrack /bin/true\n"})
    assert applied_at_load(root) == ""
    firewalld = (
        "install nf_conntrack /sbin/modprobe --ignore-install nf_conntrack $CMDLINE_OPTS && /sbin/sysctl --quiet"
        " --pattern 'net[.]netfilter[.]nf_conntrack.*' --system\n"
    )
    rule = 'ACTION=="add", SUBSYSTEM=="module", KERNEL=="nf_conntrack", RUN+="/usr/lib/systemd/systemd-sysctl"\n'
    tree(root, {"etc/udev/rules.d/90-sockmon.rules": f"# ours\n{rule}"})
    assert applied_at_load(root) == "/etc/udev/rules.d/90-sockmon.rules:2"
    tree(root, {"etc/modprobe.d/firewalld-sysctls.conf": firewalld})
    assert applied_at_load(root) == "/etc/modprobe.d/firewalld-sysctls.conf:1"


def test_rules_of_udev(tmp_path: Path) -> None:
    rules = (
        'ACTION=="add", SUBSYSTEM=="net", SYSCTL{net.core.somaxconn}="1024", SYSCTL{net/core/rmem_max}="5"\n'
        '# RUN+="/sbin/sysctl -w vm.swappiness=9"\n'
        'SUBSYSTEM=="net", RUN+="/sbin/sysctl -q -w net.ipv4.ip_local_port_range=\'2000 3000\'", \\\n'
        " RUN{program}+=\"/bin/sh -c 'echo 7 > /proc/sys/net/core/netdev_max_backlog'\"\n"
        'SUBSYSTEM=="net", RUN+="/sbin/sysctl -w net.ipv4.conf.$name.rp_filter=1"\n'
        'SUBSYSTEM=="net", SYSCTL{net.core.somaxconn}=="3", RUN+="/usr/lib/systemd/systemd-sysctl --prefix=/net"\n'
    )
    root = tree(
        tmp_path, {"etc/udev/rules.d/70-x.rules": rules, "usr/lib/udev/rules.d/70-x.rules": 'SYSCTL{a.b}="1"\n'}
    )
    found = list(udev_writes(root))
    file = "/etc/udev/rules.d/70-x.rules"
    assert wrote(found) == [
        ("net/core/somaxconn", "1024", f"{file}:1"),
        ("net/core/rmem_max", "5", f"{file}:1"),
        ("net/ipv4/ip_local_port_range", "2000 3000", f"{file}:3"),
        ("net/core/netdev_max_backlog", "7", f"{file}:3"),
    ]
    assert all(one.uncertain for one in found)


def test_what_systemd_writes_when_it_starts(tmp_path: Path) -> None:
    program = b"\x7fELF Failed to bump fs.file-max, ignoring: %m\0"
    assert list(systemd_writes(tmp_path)) == [], "systemd does not start this machine"
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    tree(tmp_path, {"usr/lib/systemd/systemd": "small", "usr/lib/x86_64-linux-gnu/systemd/empty.so": ""})
    library = tmp_path / "usr/lib/x86_64-linux-gnu/systemd/libsystemd-core-252.so"
    library.write_bytes(program)
    queue = ("net/unix/max_dgram_qlen", "512", "systemd itself")
    assert wrote(list(systemd_writes(tmp_path))) == [("fs/file-max", str(sys.maxsize), "systemd itself"), queue]
    library.write_bytes(program + b"Failed to bump fs.nr_open, ignoring: %m\0")
    assert ("fs/nr_open", "1073741816", "systemd itself") in wrote(list(systemd_writes(tmp_path)))
    # It raises only what is lower.
    higher = [BootWrite("net/unix/max_dgram_qlen", b"600", "the kernel command line")]
    assert queue not in wrote(list(systemd_writes(tmp_path, higher)))
    lower = [BootWrite("net/unix/max_dgram_qlen", b"5", "the kernel command line")]
    assert queue in wrote(list(systemd_writes(tmp_path, lower)))


def test_all_of_them_in_order(tmp_path: Path) -> None:
    root = tree(
        tmp_path,
        {
            "proc/cmdline": "sysctl.net.unix.max_dgram_qlen=20 nf_conntrack.hashsize=512\n",
            "etc/modules-load.d/x.conf": "nf_conntrack\n",
            "etc/udev/rules.d/x.rules": 'SYSCTL{net.core.somaxconn}="1"\n',
        },
    )
    (root / "run/systemd/system").mkdir(parents=True)
    assert [path for path, _, _ in wrote(steps_before(root))] == [
        "net/unix/max_dgram_qlen",
        "net/unix/max_dgram_qlen",
        "net/netfilter/nf_conntrack_buckets",
        "net/netfilter/nf_conntrack_max",
    ]
    assert [path for path, _, _ in wrote(steps_after(root))] == ["net/core/somaxconn"]
    assert steps_before(tmp_path / "none") == steps_after(tmp_path / "none") == []


def test_where_the_credential_comes_from(tmp_path: Path) -> None:
    root = tree(tmp_path, {"etc/credstore/sysctl.extra": "net.core.somaxconn = 5\n"})
    assert credential_file(root) is None, "systemd before 252"
    tree(root, {UNIT: LOAD})
    found = credential_file(root)
    assert found
    assert [(line.at, line.value) for line in parse_lines(found, SYSTEMD)] == [
        ("/etc/credstore/sysctl.extra:1", "5")
    ]
    tree(root, {"run/credentials/@system/sysctl.extra": "# none\n"})
    found = credential_file(root)
    assert found
    assert (found.name, found.raw) == ("/run/credentials/@system/sysctl.extra", b"# none\n")
    # A unit of the administrator replaces that of the package.
    tree(root, {"etc/systemd/system/systemd-sysctl.service": "[Service]\n"})
    assert credential_file(root) is None


def test_a_credential_that_cannot_be_read_may_set_anything(tmp_path: Path) -> None:
    root = tree(tmp_path, {UNIT: LOAD, "run/credentials/@encrypted/sysctl.extra": "sealed"})
    assert credential_file(root) is None, "LoadCredential= does not decrypt it"
    tree(root, {UNIT: IMPORT})
    found = credential_file(root)
    assert found
    assert found.unread == "/run/credentials/@encrypted/sysctl.extra cannot be read: it is encrypted"
    (root / "run/credentials/@system").mkdir()
    os.mkfifo(root / "run/credentials/@system/sysctl.extra")
    found = credential_file(root)
    assert found
    assert found.unread == "/run/credentials/@system/sysctl.extra cannot be read: not a regular file"


@pytest.mark.usefixtures("needs_userns")
def test_the_real_program_reads_the_credential_as_the_last_of_its_files() -> None:
    if COMMANDS[SYSTEMD] is None:
        pytest.skip("systemd-sysctl is not installed")
    assert inside(values_with_a_credential) == ["400", "2", "1"]


def values_with_a_credential() -> list[str]:
    """Return three values after a run of the real program with files and a credential."""
    hide_the_machines()
    keys = ("net/core/somaxconn", "net/ipv4/tcp_tw_reuse", "net/ipv4/conf/lo/log_martians")
    Path("/proc/sys/net/ipv4/tcp_tw_reuse").write_text("2\n")
    Path("/etc/sysctl.d/zz.conf").write_text("net.core.somaxconn = 300\nnet.ipv4.tcp_tw_reuse = 1\n")
    Path("/run/credentials").mkdir()
    # An exclusion in it takes back what a file sets, and a pattern counts.
    Path("/run/credentials/sysctl.extra").write_text(
        "net.core.somaxconn = 400\n-net.ipv4.tcp_tw_reuse\nnet.ipv4.conf.*.log_martians = 1\n"
    )
    command = COMMANDS[SYSTEMD]
    assert command
    environment = {"CREDENTIALS_DIRECTORY": "/run/credentials", "LC_ALL": "C.UTF-8"}
    subprocess.run(command, capture_output=True, check=False, env=environment, timeout=30)
    return [Path("/proc/sys", key).read_text().strip() for key in keys]


def said(root: Path, key: str) -> tuple[str | None, str]:
    found = boot_forecasts([key], root, root / "proc")[key]
    return found.value, found.sentences[0]


def test_the_forecast_has_all_of_them_in_their_order(tmp_path: Path) -> None:
    files = {
        "proc/cmdline": "sysctl.net.core.somaxconn=100 sysctl.vm.max_map_count=70000\n",
        "etc/modprobe.d/a.conf": "options nf_conntrack hashsize=65536\n",
        UNIT: LOAD,
    }
    root = tree(tmp_path, files)
    (root / "run/systemd/system").mkdir(parents=True)
    assert said(root, "vm.max_map_count") == ("70000", "the kernel command line sets 70000")
    assert said(root, "net.unix.max_dgram_qlen") == ("512", "systemd itself sets 512")
    assert said(root, MAX) == ("524288", "/etc/modprobe.d/a.conf:1 sets 524288")
    assert said(root, SOMAXCONN)[0] == "100"
    tree(root, {"etc/sysctl.d/50-a.conf": f"{SOMAXCONN} = 200\nnet.unix.max_dgram_qlen = 100\n{MAX} = 300000\n"})
    assert said(root, SOMAXCONN) == ("200", "/etc/sysctl.d/50-a.conf:1 sets 200")
    assert said(root, "net.unix.max_dgram_qlen")[0] == "100"
    assert said(root, MAX)[0] == "300000"
    tree(root, {"etc/udev/rules.d/x.rules": f'SYSCTL{{{MAX}}}="5"\n'})
    place = "/etc/udev/rules.d/x.rules:1"
    assert said(root, MAX) == (None, f"unknown: {place} sets 5 when a device appears that the rule is for")


def test_the_credential_wins_over_our_own_file(tmp_path: Path) -> None:
    root = tree(tmp_path, {UNIT: LOAD, "etc/credstore/sysctl.extra": f"{SOMAXCONN} = 5\n"})
    (root / "etc/sysctl.d").mkdir()
    found = boot_forecasts([SOMAXCONN], root, root / "proc")[SOMAXCONN]
    assert found.differs, "`sysctl --system` does not read it"
    with pytest.raises(NotPersisted, match=r"sysctl.extra:1 wins at boot: net.core.somaxconn = 5"):
        persist([Setting(SOMAXCONN, "4096", "8192")], ACTOR, "20270101T000000-0", root)


def test_a_hint_for_a_misspelt_line_is_not_hidden_by_what_systemd_sets(tmp_path: Path) -> None:
    root = tree(tmp_path, {"etc/sysctl.d/50-a.conf": "net.unix.max_dgram_qlen 100\n"})
    (root / "run/systemd/system").mkdir(parents=True)
    found = boot_forecasts(["net.unix.max_dgram_qlen"], root, root / "proc")["net.unix.max_dgram_qlen"]
    assert found.value == "512"
    assert any("/etc/sysctl.d/50-a.conf:1" in hint for hint in found.hints)


def test_a_key_that_something_applies_when_its_module_is_loaded_needs_no_rule_of_udev(tmp_path: Path) -> None:
    (tmp_path / "etc/sysctl.d").mkdir(parents=True)
    assert boot_forecasts([MAX], tmp_path, tmp_path / "proc")[MAX].module == "nf_conntrack"
    hook = "install nf_conntrack /sbin/modprobe -i nf_conntrack && /sbin/sysctl --pattern 'x' --system\n"
    tree(tmp_path, {"etc/modprobe.d/firewalld-sysctls.conf": hook})
    assert boot_forecasts([MAX], tmp_path, tmp_path / "proc")[MAX].module == ""
