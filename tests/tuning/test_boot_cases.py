"""What every verb says about the next boot, on files as people have them, compared with what the real programs do.

The verbs run with empty /etc, /run and /var of their own, in a private network namespace."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from sockmon.tuning.boot.forecast import boot_forecasts
from sockmon.tuning.boot.near_misses import NearMisses
from sockmon.tuning.boot.winning_line import read_boot_files
from tests.netns import child_environment, inside
from tests.tuning.sysctl_programs import (
    COMMANDS,
    START,
    cover,
    hide_the_machines,
    rename_loopback,
    reset,
    values_after_run,
)

RANGE, PORT_START = "net.ipv4.ip_local_port_range", "net.ipv4.ip_unprivileged_port_start"
SOMAXCONN, BACKLOG = "net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog"

_needs_userns = pytest.mark.usefixtures("needs_userns")


def tune(*argv: str) -> tuple[int, str]:
    """Run a verb; return the exit code and all that it prints, in one line."""
    done = subprocess.run(
        [sys.executable, "-m", "sockmon", "tune", *argv],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, stdin=subprocess.DEVNULL,
        env={**child_environment(), "COLUMNS": "300"}, check=False, timeout=60,
    )  # fmt: skip
    return done.returncode, " ".join(done.stdout.split())


def empty_machine() -> None:
    hide_the_machines()
    rename_loopback()
    cover("/var", "size=8m")
    for directory in ("/etc/sysctl.d", "/var/lib", "/var/log"):
        Path(directory).mkdir(parents=True, exist_ok=True)
    reset()


def lay(**files: str) -> None:
    """Write files of /etc/sysctl.d; a `_` in a name stands for a `-`."""
    for name, content in files.items():
        Path(f"/etc/sysctl.d/{name.replace('_', '-').lstrip('n')}.conf").write_text(content)


def after_boot() -> list[dict[str, str]]:
    """Return the values that each installed program leaves."""
    return [values_after_run(program) for program, command in COMMANDS.items() if command]


def apply(*assignments: str) -> str:
    code, said = tune("apply", "--yes", *assignments)
    assert code == 0, said
    return said


def boot_of(key: str) -> tuple[str | None, str]:
    """Return the value at boot of `tune show --json`, and the sentences."""
    code, text = tune("show", key, "--json")
    assert code == 0, text
    row = json.loads(text)
    return row["boot"], " ".join(row["outlook"]["boot"])


def keys_that_are_gone() -> None:
    empty_machine()
    Path("/etc/sysctl.conf").write_text("# old\nnet.ipv4.tcp_tw_recycle = 1\nnet.ipv4.ip_conntrack_max = 65536\n")
    for key, line, gone, instead in (
        ("net.ipv4.tcp_tw_recycle", 2, "Linux 4.12", "net.ipv4.tcp_tw_reuse = 1"),
        ("net.ipv4.ip_conntrack_max", 3, "Linux 2.6.22", "net.netfilter.nf_conntrack_max"),
    ):
        code, said = tune("show", key)
        assert code == 0
        assert said.startswith(f"{key} ")
        assert f"/etc/sysctl.conf:{line} sets" in said
        assert "this line does nothing" in said
        assert gone in said
        assert instead in said
        assert not any(empty in said for empty in ("Allowed", "Risk", "Not affected", "Commands", "tune plan"))
    after_boot()
    assert not Path("/proc/sys/net/ipv4/tcp_tw_recycle").exists()
    assert not Path("/proc/sys/net/ipv4/ip_conntrack_max").exists()


@_needs_userns
def test_a_key_that_is_gone_says_so_and_that_its_line_does_nothing() -> None:
    inside(keys_that_are_gone)


def values_that_depend_on_each_other() -> None:
    empty_machine()
    apply(f"{RANGE}=3000 64000")
    assert tune("keep", "--persist")[0] == 0
    apply(f"{RANGE}=900 64000", f"{PORT_START}=900")
    assert tune("keep", "--persist")[0] == 0
    assert tune("verify") == (0, "all kept changes are in effect")
    assert boot_of(RANGE)[0] == "900 64000"
    for values in after_boot():
        assert (values[RANGE], values[PORT_START]) == ("900 64000", "900")
    reset()
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("900\n")
    Path("/proc/sys/net/ipv4/ip_local_port_range").write_text("900 64000\n")
    assert tune("undo", "--yes")[0] == 0
    assert tune("keep")[0] == 0
    assert "3000 64000" in Path("/etc/sysctl.d/90-sockmon.conf").read_text()
    for values in after_boot():
        assert (values[RANGE], values[PORT_START]) == ("3000 64000", "1024")


@_needs_userns
def test_values_that_depend_on_each_other_are_persisted_in_an_order_that_works() -> None:
    inside(values_that_depend_on_each_other)


def a_value_whose_condition_is_not_persisted() -> None:
    empty_machine()
    apply(f"{PORT_START}=900")
    assert tune("keep")[0] == 0
    planned = tune("plan", f"{RANGE}=900 64000")[1]
    assert f"{PORT_START} is 1024 when the file is read at boot" in planned
    apply(f"{RANGE}=900 64000")
    code, said = tune("keep", "--persist")
    assert code == 1
    assert "EINVAL: the range begins below" in said
    assert f"put `{PORT_START} = 900` in a file of /etc/sysctl.d" in said
    # What it offers works.
    reset()
    lay(n20_ports=f"{PORT_START} = 900\n")
    Path("/proc/sys/net/ipv4/ip_unprivileged_port_start").write_text("900\n")
    apply(f"{RANGE}=900 64000")
    code, said = tune("keep", "--persist")
    assert code == 0, said
    for values in after_boot():
        assert values[RANGE] == "900 64000"


@_needs_userns
def test_a_value_whose_condition_is_not_persisted_is_not_called_persisted() -> None:
    inside(a_value_whose_condition_is_not_persisted)


def comments_behind_values() -> None:
    empty_machine()
    lay(
        n50_mine=f"{BACKLOG} = 3000   # more room\n{SOMAXCONN} = 7000; # queue\n"
        f"net.ipv4.tcp_fin_timeout = 25 ; x\n{RANGE} = 2000 64000 # wide\n"
    )
    assert boot_of(BACKLOG)[0] == "3000"
    assert "passes over the rest of the line, `# more room`" in boot_of(BACKLOG)[1]
    value, said = boot_of(SOMAXCONN)
    assert value is None
    assert "the kernel refuses /etc/sysctl.d/50-mine.conf:2, `7000; # queue`, with EINVAL" in said
    assert boot_of(RANGE)[0] == "2000 64000"
    planned = tune("plan", f"{BACKLOG}=3000")[1]
    assert "A file sets this value already" in planned
    listed = tune("list", "--json")[1]
    rows = {row["key"]: row["boot"] for row in json.loads(listed)["tunables"]}
    for values in after_boot():
        for key in (BACKLOG, SOMAXCONN, RANGE, "net.ipv4.tcp_fin_timeout"):
            assert values[key] == (rows[key] or START[key])


@_needs_userns
def test_a_comment_behind_a_value_is_what_the_kernel_makes_of_it() -> None:
    inside(comments_behind_values)


def one_file_under_two_names() -> None:
    empty_machine()
    Path("/run/systemd/system").mkdir(parents=True)
    Path("/etc/sysctl.conf").write_text(f"\n{SOMAXCONN} = 7000\n")
    os.symlink("../sysctl.conf", "/etc/sysctl.d/99-sysctl.conf")
    assert boot_of(SOMAXCONN) == ("7000", "/etc/sysctl.conf:2 sets 7000")
    way_out = f"change line 2 of /etc/sysctl.conf to `{SOMAXCONN} = 9000`"
    planned = tune("plan", f"{SOMAXCONN}=9000")[1]
    assert way_out in planned
    assert "99-sysctl.conf" not in planned
    apply(f"{SOMAXCONN}=9000")
    code, said = tune("keep", "--persist")
    assert code == 1
    assert way_out in said
    assert "99-sysctl.conf" not in said


@_needs_userns
def test_one_file_under_two_names_is_named_once() -> None:
    inside(one_file_under_two_names)


def root_with(directory: Path, files: dict[str, bytes | str]) -> Path:
    for name, content in files.items():
        (directory / name).parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, str):
            (directory / name).symlink_to(content)
        else:
            (directory / name).write_bytes(content)
    return directory


@pytest.mark.parametrize(
    ("file", "content", "key", "why"),
    [
        ("etc/sysctl.d/99-mine", b"net.core.somaxconn = 7000\n", SOMAXCONN, "99-mine:1 looks as if it set it"),
        ("etc/sysctl.d/99.conf.bak", b"net.core.somaxconn = 7000\n", SOMAXCONN, "does not end in .conf"),
        (
            "etc/sysctl.conf.d/5.conf",
            b"net.core.somaxconn=7\n",
            SOMAXCONN,
            "reads the directory /etc/sysctl.conf.d",
        ),
        ("etc/sysctl.d/x/5.conf", b"net.core.somaxconn=7\n", SOMAXCONN, "the directories inside sysctl.d"),
        (
            "etc/sysctl.d/5.conf",
            b"\nnet.core.somaxconn 7\n",
            SOMAXCONN,
            "5.conf:2 looks as if it set it, but it has",
        ),
        ("etc/sysctl.d/5.conf", b"net.core.somaxconn: 7\n", SOMAXCONN, "it has no `=`"),
        ("etc/sysctl.d/5.conf", b"sysctl -w net.ipv4.tcp_max_syn_backlog=3\r\n", BACKLOG, "it is a command"),
        ("etc/sysctl.d/5.conf", b"sudo sysctl -qw net.core.somaxconn=3\n", SOMAXCONN, "it is a command"),
        ("etc/sysctl.d/5.conf", b"\xef\xbb\xbfnet.core.somaxconn=3\n", SOMAXCONN, "a byte order mark"),
        ("etc/sysctl.d/5.conf", "net.core.somaxconn=3\n".encode("utf-16"), SOMAXCONN, "the file is in UTF-16"),
        ("etc/sysctl.conf", b"net.core.somaxcon=3\n", SOMAXCONN, "`net.core.somaxcon` is not the key"),
        (
            "etc/sysctl.d/5.conf",
            b"Net.Core.SoMaxConn=3\n",
            SOMAXCONN,
            "is not the key: that is net.core.somaxconn",
        ),
        (
            "etc/sysctl.d/5.conf",
            b"net.ipv4.conf.eth0.1.rp_filter=1\n",
            "net.ipv4.conf.eth0/1.rp_filter",
            "is not the key: that is net.ipv4.conf.eth0/1.rp_filter",
        ),
        ("etc/sysctl.d/5.conf", b"net.core.somaxconn=3\n", BACKLOG, ""),
        ("etc/sysctl.d/5.conf", b"# net.core.somaxconn = 3\n", SOMAXCONN, ""),
        ("etc/sysctl.d/5.conf", b"net.ipv4.tcp_rmem=1 2 3\n", "net.ipv4.tcp_mem", ""),
        ("etc/sysctl.d/5.conf", b"net.ipv4.neigh.default.gc_thresh1=9\n", "net.ipv4.neigh.default.gc_thresh2", ""),
    ],
)
def test_a_line_that_looks_as_if_it_set_a_key(
    tmp_path: Path, file: str, content: bytes, key: str, why: str
) -> None:
    root = root_with(tmp_path, {file: content})
    found = NearMisses(read_boot_files(root), root).of(key)
    assert bool(found) == bool(why), found
    assert why in " ".join(found)
    assert boot_forecasts([key], root, tmp_path / "proc")[key].hints == found


@pytest.mark.parametrize(
    ("mask", "how"),
    [
        ("/dev/null", "which is a link to /dev/null, hides its file"),
        ("/etc/nothing", "a link to a file that does not exist, hides its file"),
        (b"# nothing\n", "of the same name, is read instead"),
    ],
)
def test_a_file_that_another_of_its_name_hides(tmp_path: Path, mask: str | bytes, how: str) -> None:
    root = root_with(
        tmp_path, {"run/sysctl.d/50-x.conf": b"net.core.somaxconn=7000\n", "etc/sysctl.d/50-x.conf": mask}
    )
    (hint,) = boot_forecasts([SOMAXCONN], root, tmp_path / "proc")[SOMAXCONN].hints
    assert hint.startswith("/run/sysctl.d/50-x.conf:1 looks as if it set it, but /etc/sysctl.d/50-x.conf, ")
    assert hint.endswith(f"/etc/sysctl.d/50-x.conf, {how}")


@contextmanager
def as_an_ordinary_user() -> Iterator[Path]:
    """Give a directory that an ordinary user may read, and the rights of one."""
    user = os.geteuid()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        directory.chmod(0o755)
        try:
            yield directory
        finally:
            os.seteuid(user)


@pytest.mark.parametrize("closed", ["etc/sysctl.d/99-web.conf", "etc/sysctl.d", "run/sysctl.d"])
def test_what_may_not_be_read_makes_the_answer_unknown(closed: str) -> None:
    with as_an_ordinary_user() as directory:
        root = root_with(directory, {"etc/sysctl.d/99-web.conf": b"\n", "run/sysctl.d/5.conf": b"\n"})
        (root / closed).chmod(0)
        if os.geteuid() == 0:
            os.seteuid(65534)
        found = boot_forecasts([PORT_START], root, root / "proc")[PORT_START]
        os.seteuid(os.getuid())
        (root / closed).chmod(0o755)
    assert found.value is None
    assert found.unknown == f"/{closed} cannot be read: Permission denied"
    assert found.sentences == (f"unknown: {found.unknown}",)
    assert not found.hints
