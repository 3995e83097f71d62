"""tuned: what its profile sets, what it applies again over it, and what is not there."""

from __future__ import annotations

from pathlib import Path

import pytest

from sockmon.model.writers import Writer, sentence_of
from sockmon.tuning.boot.other_writers.row import Machine
from sockmon.tuning.boot.other_writers.tuned import tuned_writers
from tests.tuning.writer_trees import SOMAXCONN, tree

PID_MAX, RANGE, BACKLOG = "kernel.pid_max", "net.ipv4.ip_local_port_range", "net.core.netdev_max_backlog"
EDGE = "/etc/tuned/edge/tuned.conf"
CASE = {
    "etc/tuned/active_profile": "edge\n",
    EDGE[1:]: (
        '[sysctl]\nnet.core.somaxconn=>2048\nkernel.pid_max=65536\nnet.ipv4.ip_local_port_range="2000 64000"\n'
        "\n[more]\ntype=sysctl\nnet.core.netdev_max_backlog=3000\n"
    ),
    "etc/sysctl.d/99-mine.conf": "kernel.pid_max = 131072\n",
}


def writers(key: str, root: Path, *processes: str) -> list[Writer]:
    return list(tuned_writers(key, Machine(root, processes or ("tuned",))))


def sentences(key: str, root: Path) -> list[str]:
    return [sentence_of(writer) for writer in writers(key, root)]


def values(root: Path, key: str = SOMAXCONN) -> list[str | None]:
    return [writer.value for writer in writers(key, root)]


def profile(root: Path, text: str, files: dict[str, str] | None = None) -> Path:
    own = {"etc/tuned/active_profile": "edge\n", EDGE[1:]: text}
    return tree(root, {**own, **(files or {})})


def test_the_case_of_tuned(tmp_path: Path) -> None:
    root = tree(tmp_path, CASE)
    (somaxconn,) = writers(SOMAXCONN, root)
    assert sentence_of(somaxconn) == f"when it starts or stops, tuned raises it to 2048 if it is lower ({EDGE}:2)"
    assert somaxconn.leaves("4096")
    assert not somaxconn.leaves("128")
    assert sentences(PID_MAX, root) == [
        f"when it starts or stops, tuned sets 131072 (/etc/sysctl.d/99-mine.conf:1), not 65536 ({EDGE}:3)"
    ]
    assert sentences(RANGE, root) == [f"when it starts or stops, tuned sets 2000 64000 ({EDGE}:4)"]
    assert sentences(BACKLOG, root) == [f"when it starts or stops, tuned sets 3000 ({EDGE}:8)"]
    tree(root, {"etc/tuned/tuned-main.conf": "# a comment\ndaemon = 1\nreapply_sysctl=0\n"})
    assert sentences(PID_MAX, root) == [f"when it starts or stops, tuned sets 65536 ({EDGE}:3)"]


def test_a_profile_that_is_not_active_or_a_tuned_that_does_not_run(tmp_path: Path) -> None:
    root = tree(tmp_path, {**CASE, "usr/lib/tuned/profiles/other/tuned.conf": "[sysctl]\nvm.swappiness=1\n"})
    assert values(root, "vm.swappiness") == []
    (writer,) = writers(BACKLOG, root, "sshd")
    assert not writer.runs
    assert sentence_of(writer) == f"once it runs, tuned will set 3000 ({EDGE}:8)"
    (root / "etc/tuned/active_profile").unlink()
    assert writers(BACKLOG, root) == []


def test_it_applies_every_line_again_also_for_a_key_that_its_profile_does_not_set(tmp_path: Path) -> None:
    sysctl_d = {"etc/sysctl.d/50-a.conf": "net.ipv4.tcp_syncookies = 2\n"}
    key = "net.ipv4.tcp_syncookies"
    root = profile(tmp_path / "some", "[sysctl]\nvm.swappiness=1\n", sysctl_d)
    assert sentences(key, root) == ["when it starts or stops, tuned sets 2 (/etc/sysctl.d/50-a.conf:1)"]
    # Without a unit of this type nothing is applied again.
    assert values(profile(tmp_path / "none", "[cpu]\ngovernor=performance\n", sysctl_d), key) == []


@pytest.mark.parametrize(
    ("files", "value"),
    [
        ({"usr/lib/sysctl.d/50-a.conf": "net.core.somaxconn = 9\n"}, "2048"),
        ({"run/sysctl.d/50-a.conf": "net.core.somaxconn = 9\n"}, "9"),
        # Of two files with one name it takes that of /run, and sysctl.conf comes last.
        (
            {
                "run/sysctl.d/50-a.conf": "net.core.somaxconn = 9\n",
                "etc/sysctl.d/50-a.conf": "net.core.somaxconn = 8\n",
            },
            "9",
        ),
        (
            {
                "etc/sysctl.d/99-z.conf": "net.core.somaxconn = 9\n",
                "etc/sysctl.conf": "net.core.somaxconn=8\n#net.core.somaxconn=7\n;net.core.somaxconn=6\n",
            },
            "8",
        ),
        # What the two programs of the boot understand, and tuned does not.
        ({"etc/sysctl.d/99-z.conf": "net/core/somaxconn = 9\n"}, "2048"),
        ({"etc/sysctl.d/99-z.conf": "-net.core.somaxconn = 9\n"}, "2048"),
        ({"etc/sysctl.d/99-z.conf": "net.core.* = 9\n"}, "2048"),
        ({"etc/sysctl.d/99-z": "net.core.somaxconn = 9\n"}, "2048"),
        (
            {
                "etc/sysctl.d/99-z.conf": "net.core.somaxconn = 9\n",
                "etc/tuned/tuned-main.conf": "reapply_sysctl_exclude = net.ipv4.*; net.core.som*\n",
            },
            "2048",
        ),
        (
            {
                "etc/sysctl.d/99-z.conf": "net.core.somaxconn = 9\n",
                "etc/tuned/tuned-main.conf": "reapply_sysctl = no # ours\n",
            },
            "2048",
        ),
    ],
)
def test_what_it_applies_again(tmp_path: Path, files: dict[str, str], value: str) -> None:
    assert values(profile(tmp_path, "[sysctl]\nnet.core.somaxconn=2048\n", files)) == [value]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("[sysctl]\nnet.core.somaxconn = 1 # why\n", "1"),
        ("[sysctl]\nnet.core.somaxconn = 1#2\n", "1#2"),
        ("[sysctl]\n#net.core.somaxconn = 1\n;net.core.somaxconn = 2\n", None),
        ("[sysctl]\nnet.core.somaxconn = 1\nnet.core.somaxconn = 2\n", "2"),
        ("[sysctl]\nnet.core.somaxconn = '1'\n", "'1'"),
        ("[more]\nnet.core.somaxconn = 1\n", None),
        ("[sysctl]\ntype=sysfs\nnet.core.somaxconn = 1\n", None),
        ("[sysctl]\nenabled=false\nnet.core.somaxconn = 1\n", None),
        ("[sysctl]\nnet/core/somaxconn = 1\n", None),
        ("[sysctl]\nNet.core.somaxconn = 1\n", None),
        # The lower priority is applied first.
        ("[a]\ntype=sysctl\npriority=5\nnet.core.somaxconn=1\n[sysctl]\nnet.core.somaxconn=2\n", "1"),
        ("[a]\ntype=sysctl\nnet.core.somaxconn=1\n[sysctl]\npriority=-1\nnet.core.somaxconn=2\n", "1"),
        ("[variables]\nn = 7\n[sysctl]\nnet.core.somaxconn=${n}000\n", "7000"),
        ("[variables]\nn = 7\nm = ${n}1\n[sysctl]\nnet.core.somaxconn=${m}\n", "71"),
    ],
)
def test_how_it_reads_a_profile(tmp_path: Path, text: str, value: str | None) -> None:
    assert values(profile(tmp_path, text)) == ([value] if value is not None else [])


def test_a_value_that_a_function_computes_is_not_known(tmp_path: Path) -> None:
    root = profile(tmp_path, "[sysctl]\nnet.core.somaxconn=${f:exec:nproc}\n")
    assert sentences(SOMAXCONN, root) == [f"when it starts or stops, tuned sets it ({EDGE}:2)"]


def test_included_profiles_come_first_and_once(tmp_path: Path) -> None:
    base = "[main]\ninclude=edge\n[sysctl]\nnet.core.somaxconn=1\nvm.swappiness=1\nkernel.pid_max=5\n"
    own = (
        "[main]\ninclude=base; -nowhere , ../../x\n[sysctl]\ndrop=kernel.pid_max\nnet.core.somaxconn=2\n"
        "[other]\ntype=sysctl\nenabled=0\nvm.swappiness=9\n"
    )
    root = profile(tmp_path, own, {"usr/lib/tuned/profiles/base/tuned.conf": base})
    tree(
        root,
        {"usr/lib/tuned/x/tuned.conf": "[sysctl]\nfs.nr_open=4\n", "x/tuned.conf": "[sysctl]\nfs.nr_open=5\n"},
    )
    assert values(root) == ["2"]
    assert values(root, "vm.swappiness") == ["1"]
    assert values(root, PID_MAX) == []
    assert values(root, "fs.nr_open") == ["4"]
    # `replace` drops all that the included profile has.
    replaced = own.replace("drop=kernel.pid_max", "replace=1")
    assert values(tree(root, {EDGE[1:]: replaced}), "vm.swappiness") == []


def test_a_profile_that_cannot_be_loaded_sets_nothing(tmp_path: Path) -> None:
    assert values(profile(tmp_path, "[main]\ninclude=gone\n[sysctl]\nnet.core.somaxconn=2\n")) == []
    assert values(profile(tmp_path, "net.core.somaxconn=2\n[sysctl]\nnet.core.somaxconn=2\n")) == []


def test_where_it_looks_for_profiles(tmp_path: Path) -> None:
    text = "[sysctl]\nnet.core.somaxconn={}\n"
    files = {
        "etc/tuned/active_profile": "edge more\n",
        "etc/tuned/post_loaded_profile": "late\n",
        "usr/lib/tuned/profiles/edge/tuned.conf": text.format(1),
        "etc/tuned/profiles/edge/tuned.conf": text.format(2),
    }
    for name in ("more", "late"):
        files[f"usr/lib/tuned/{name}/tuned.conf"] = f"[sysctl]\nvm.swappiness={len(name) + (name == 'late')}\n"
    root = tree(tmp_path, files)
    assert values(root) == ["2"]
    assert values(root, "vm.swappiness") == ["5"]
    own = {"etc/tuned/tuned-main.conf": "profile_dirs = /usr/lib/tuned, /srv/a,/srv/b\n"}
    for number, place in enumerate(("srv/a", "srv/b"), 7):
        own[f"{place}/edge/tuned.conf"] = text.format(number)
    assert values(tree(root, own)) == ["8"], "the last one counts"


def test_what_it_applies_again_is_what_the_kernel_makes_of_the_line(tmp_path: Path) -> None:
    root = tree(tmp_path, {**CASE, "etc/sysctl.d/99-mine.conf": f"{SOMAXCONN} = 600 # short\n{SOMAXCONN} = 7s\n"})
    assert values(root) == ["600"]
