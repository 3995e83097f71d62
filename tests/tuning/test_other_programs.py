"""procps 3 and busybox: what they write where one of them applies sysctl.d at boot."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path

import pytest

from sockmon.model.plan import Setting
from sockmon.sandbox.namespaces import TOOL_PATH
from sockmon.tuning.boot.atomic_file import FILE, NotPersisted
from sockmon.tuning.boot.dropin import persist
from sockmon.tuning.boot.forecast import boot_forecasts
from sockmon.tuning.boot.other_programs import ALPINE, OPENRC, PROCPS3, Program, other_program, other_steps
from sockmon.tuning.boot.replay import BootWrite, UnreadWrites
from sockmon.tuning.boot.sysctl_d import path_of
from tests.netns import inside
from tests.tuning.sample_change import ACTOR
from tests.tuning.sysctl_programs import START, hide_the_machines, random_tree, rename_loopback
from tests.tuning.writer_trees import SOMAXCONN, tree

BUSYBOX = shutil.which("busybox", path=TOOL_PATH)
_TREES = int(os.environ.get("SOCKMON_TREES", "120"))
PATHS = {path_of(SOMAXCONN), "net/ipv4/tcp_tw_reuse", "net/ipv4/conf/eth0.1/rp_filter"}


def wrote(root: Path, program: Program, paths: set[str] = PATHS) -> list[str]:
    steps = other_steps(program, paths, root)
    return [f"{step.source}={step.written.decode()}" for step in steps if isinstance(step, BootWrite)]


def test_which_program_it_is(tmp_path: Path) -> None:
    assert other_program(tmp_path) is None
    assert other_program(tree(tmp_path / "3", {"sbin/sysctl": "x procps-ng 3.3.17\0"})) == PROCPS3
    assert other_program(tree(tmp_path / "4", {"usr/sbin/sysctl": "x procps-ng 4.0.2\0"})) is None
    busybox = tree(tmp_path / "b", {"bin/busybox": "BusyBox v1.36\n", "etc/init.d/sysctl": "sysctl --system\n"})
    (busybox / "sbin").mkdir()
    (busybox / "sbin/sysctl").symlink_to("../bin/busybox")
    assert other_program(busybox) is None, "a script that is not known"
    tree(busybox, {"etc/init.d/sysctl": 'veinfo "Ignoring $f due to /run"\n'})
    assert other_program(busybox) == ALPINE
    tree(busybox, {"etc/init.d/sysctl": "BSD_sysctl() {\n"})
    assert other_program(busybox) == OPENRC


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("net.core.somaxconn = 1", "1"),
        ("  net/core/somaxconn=1 # x  ", "1 # x"),
        ("-net.core.somaxconn = 1", "1"),
        ("==net.core.somaxconn = 1", "1"),
        ("net.core.somaxconn == 1", "= 1"),
        ("net.core.somaxconn = 1\rx", "1"),
        ("net.core.somaxconn =", None),
        ("-net.core.somaxconn", None),
        ("net.core.* = 1", None),
        ("#net.core.somaxconn = 1", None),
        (";net.core.somaxconn = 1", None),
    ],
)
def test_how_procps_3_reads_a_line(tmp_path: Path, line: str, text: str | None) -> None:
    root = tree(tmp_path, {"etc/sysctl.d/a.conf": f"{line}\n"})
    expected = [] if text is None else [f"/etc/sysctl.d/a.conf:1={text}"]
    assert wrote(root, PROCPS3) == expected


def test_the_order_of_procps_3(tmp_path: Path) -> None:
    files = {
        "etc/sysctl.d/50-a.conf": "net.core.somaxconn = 1\n",
        "run/sysctl.d/50-a.conf": "net.core.somaxconn = 2\n",
        "usr/lib/sysctl.d/60-b.conf": "net.ipv4.conf.eth0/1.rp_filter = 1\n",
        "etc/sysctl.d/.x.conf": "net.core.somaxconn = 3\n",
        "etc/sysctl.conf": "net.core.somaxconn = 4\nnet.ipv4.tcp_mem = 1 2 3\n",
        "sbin/sysctl": "procps-ng 3.3.17\0",
    }
    root = tree(tmp_path, files)
    rest = ["/usr/lib/sysctl.d/60-b.conf:1=1", "/etc/sysctl.conf:1=4"]
    hidden = "/etc/sysctl.d/.x.conf:1=3"
    assert wrote(root, PROCPS3) == [hidden, "/etc/sysctl.d/50-a.conf:1=1", *rest]
    tree(root, {"sbin/sysctl": "procps-ng 3.3.15\0"})
    assert wrote(root, PROCPS3) == [hidden, "/run/sysctl.d/50-a.conf:1=2", *rest]


def test_what_cannot_be_read_is_a_place_where_anything_may_be_written(tmp_path: Path) -> None:
    root = tree(tmp_path, {"etc/sysctl.d/60-b.conf": "net.core.somaxconn = 1\n", "etc/sysctl.conf": ""})
    os.mkfifo(root / "etc/sysctl.d/50-a.conf")
    for program in (PROCPS3, ALPINE, OPENRC):
        unread, write = other_steps(program, PATHS, root)
        assert unread == UnreadWrites("/etc/sysctl.d/50-a.conf cannot be read: not a regular file")
        assert isinstance(write, BootWrite)


def test_the_order_of_alpine(tmp_path: Path) -> None:
    files = {
        "usr/lib/sysctl.d/00-alpine.conf": "net.core.somaxconn = 1\n",
        "usr/lib/sysctl.d/50-a.conf": "net.core.somaxconn = 2\n",
        "etc/sysctl.d/50-a.conf": "net.core.somaxconn = 3\n",
        "etc/sysctl.d/60-b.conf": "net.core.somaxconn = 4\n",
        "run/sysctl.d/60-b.conf": "net.core.somaxconn = 5\n",
        "etc/sysctl.conf": "net.core.somaxconn = 6\n",
    }
    root = tree(tmp_path, files)
    assert wrote(root, ALPINE) == [
        "/usr/lib/sysctl.d/00-alpine.conf:1=1",
        "/etc/sysctl.d/50-a.conf:1=3",
        "/etc/sysctl.conf:1=6",
        "/run/sysctl.d/60-b.conf:1=5",
    ]


def test_busybox_ends_at_a_value_that_the_kernel_refuses(tmp_path: Path) -> None:
    text = "net.core.somaxconn = 5\nnet.core.no_such = 1\nnet.ipv4.tcp_tw_reuse = 9\nnet.core.somaxconn = 6\n"
    root = tree(
        tmp_path, {"etc/sysctl.d/50-a.conf": text, "etc/sysctl.d/60-b.conf": "net.ipv4.tcp_tw_reuse = 1\n"}
    )
    assert wrote(root, ALPINE) == [
        "/etc/sysctl.d/50-a.conf:1=5",
        "/etc/sysctl.d/50-a.conf:3=9",
        "/etc/sysctl.d/60-b.conf:1=1",
    ]


def test_the_script_of_openrc_takes_a_value_up_to_its_first_blank(tmp_path: Path) -> None:
    text = (
        "net.core.somaxconn = 5\nnet.core.somaxconn =6\nnet.core.somaxconn=7 # x\nnet.core.somaxconn= 8\n"
        "# net.core.somaxconn = 9\n;net.core.somaxconn = 10\nnet.ipv4.ip_local_port_range = 2000 3000\n"
    )
    root = tree(tmp_path, {"etc/sysctl.d/50-a.conf": text})
    paths = {*PATHS, "net/ipv4/ip_local_port_range"}
    assert wrote(root, OPENRC, paths) == [], "without /etc/sysctl.conf it does nothing"
    tree(root, {"etc/sysctl.conf": "net.core.somaxconn = 1\n"})
    place = "/etc/sysctl.d/50-a.conf"
    assert wrote(root, OPENRC, paths) == [
        "/etc/sysctl.conf:1=1",
        f"{place}:1=5",
        f"{place}:3=7",
        f"{place}:4=",
        f"{place}:7=2000",
    ]


@pytest.mark.usefixtures("needs_userns")
def test_generated_files_end_as_the_real_busybox_leaves_them() -> None:
    if BUSYBOX is None:
        pytest.skip("busybox is not installed")
    moved, wrong = inside(disagreements, BUSYBOX, _TREES)
    assert not wrong, "\n".join(wrong[:5])
    assert moved > _TREES / 3, "files that change nothing prove nothing"


def disagreements(busybox: str, count: int) -> tuple[int, list[str]]:
    """Return how many files change a value, and the values that were predicted wrongly."""
    hide_the_machines()
    rename_loopback()
    moved, wrong = 0, []
    paths = {path_of(key) for key in START}
    for seed in range(count):
        chance = random.Random(seed)
        contents = [text for text in random_tree(seed, ["etc/sysctl.d"]).values() if isinstance(text, bytes)]
        content = chance.choice(contents or [b""])
        Path("/etc/sysctl.conf").write_bytes(content)
        reset()
        subprocess.run([busybox, "sysctl", "-q", "-p", "/etc/sysctl.conf"], capture_output=True, check=False)
        real = values()
        reset()
        steps = [step for step in other_steps(ALPINE, paths) if isinstance(step, BootWrite)]
        unknown = {step.path for step in steps if step.uncertain}
        for step in steps:
            with suppress(OSError), open(f"/proc/sys/{step.path}", "wb", buffering=0) as file:
                file.write(step.written)
        moved += real != START
        wrong += [
            f"file {seed}: {key} is {real[key]!r}, predicted {value!r}; {content!r}"
            for key, value in values().items()
            if real[key] != value and path_of(key) not in unknown
        ]
    return moved, wrong


def reset() -> None:
    for key, value in START.items():
        Path("/proc/sys", path_of(key)).write_text(f"{value}\n")


def values() -> dict[str, str]:
    return {key: " ".join(Path("/proc/sys", path_of(key)).read_text().split()) for key in START}


def test_the_forecast_is_that_of_the_procps_that_is_installed(tmp_path: Path) -> None:
    files = {"etc/sysctl.d/50-a.conf": "net.core.somax* = 5\n", "sbin/sysctl": "procps-ng 3.3.17\0"}
    root = tree(tmp_path, files)
    assert sentences(root) == (
        "under systemd-sysctl: /etc/sysctl.d/50-a.conf:1 sets 5",
        "under sysctl --system: no file sets it",
        "it is not known which of the two runs here at boot",
    )
    persist([Setting(SOMAXCONN, "4096", "8192")], ACTOR, "20270101T000000-0", root)
    assert sentences(root) == (f"{FILE}:4 sets 8192",)
    # It reads /etc/sysctl.conf last, and our own file is judged before it is written.
    tree(root, {"etc/sysctl.conf": "net.core.somaxconn = 6\n"})
    with pytest.raises(NotPersisted, match=r"/etc/sysctl.conf:1 wins at boot"):
        persist([Setting(SOMAXCONN, "4096", "9000")], ACTOR, "20270101T000000-1", root)


def test_the_forecast_where_busybox_applies_the_files(tmp_path: Path) -> None:
    files = {
        "bin/sysctl": "BusyBox v1.36\n",
        "etc/init.d/sysctl": "Ignoring $f due to\n",
        "etc/sysctl.d/50-a.conf": "net.ipv4.tcp_tw_reuse = 9\nnet.core.somaxconn = 5\n",
    }
    assert sentences(tree(tmp_path, files)) == (
        "under busybox, which runs here at boot: no file sets it",
        "under systemd-sysctl: /etc/sysctl.d/50-a.conf:2 sets 5",
    )


def sentences(root: Path) -> tuple[str, ...]:
    return boot_forecasts([SOMAXCONN], root, root / "proc")[SOMAXCONN].sentences
