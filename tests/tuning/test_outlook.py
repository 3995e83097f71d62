"""What a restart makes of a value, and whether our own file would win: as the preview says it before anything is
done, and as `keep --persist` finds it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from sockmon.model.change import Outlook, Rival, Setting
from sockmon.tunables import BY_KEY
from sockmon.tunables.value import misread, same
from sockmon.tuning import boot as files
from sockmon.tuning import listing
from sockmon.tuning.folder import NotPersisted
from sockmon.tuning.here import Here, seen
from sockmon.tuning.outlook import outlooks, program, unit_of
from sockmon.tuning.persist import FILE, persist
from sockmon.tuning.plan import plan
from sockmon.tuning.proposal import pages
from sockmon.tuning.sysctl_d import DIRECTORIES, LOADERS, PROCPS, SYSTEMD, Loader
from tests.netns import inside
from tests.snapshots import snapshot
from tests.tuning.changes import ME
from tests.tuning.loaders import COMMANDS, START, done, hide_the_machines, plant, random_tree, rename_loopback

SOMAXCONN, MAX = "net.core.somaxconn", "net.netfilter.nf_conntrack_max"


def root_with(tmp_path: Path, files: dict[str, str]) -> Path:
    (tmp_path / "etc/sysctl.d").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return tmp_path


def outlook(root: Path, key: str = SOMAXCONN) -> Outlook:
    return outlooks([key], root, root / "proc")[key]


def at_boot(found: Outlook, value: str = "8192", door: str = "") -> str:
    """What the preview says of it."""
    now = replace(seen(snapshot()), outlooks={SOMAXCONN: found}, door=door)
    (preview,) = plan({SOMAXCONN: value}, now).previews
    return "\n".join(preview.boot)


def test_where_no_file_sets_it_our_own_would_win(tmp_path: Path) -> None:
    found = outlook(root_with(tmp_path, {}))
    assert found == Outlook(None, ("no file sets it",))
    assert at_boot(found).splitlines() == [
        "No file sets it.",
        f"`keep --persist` writes it to {FILE}, which wins; `keep` alone lasts until a restart.",
    ]


def test_s25_where_the_two_programs_differ_both_are_told_and_which_one_runs_here(tmp_path: Path) -> None:
    files = {"etc/sysctl.d/50-a.conf": f"{SOMAXCONN} = 203\n", "etc/sysctl.conf": f"{SOMAXCONN} = 211\n"}
    root = root_with(tmp_path, files)
    found = outlook(root)
    assert found.value is None
    assert found.boot == (
        "under systemd-sysctl: /etc/sysctl.d/50-a.conf:1 sets 203",
        "under sysctl --system: /etc/sysctl.conf:1 sets 211",
        "which of the two runs here at boot could not be told",
    )
    assert found.rivals == (Rival(PROCPS, "/etc/sysctl.conf:1", "211"),)
    assert "`keep --persist` keeps it until a restart only: /etc/sysctl.conf:1 sets 211 later" in at_boot(found)
    (root / "etc/init.d").mkdir()
    (root / "etc/init.d/procps").touch()
    assert program(root) == PROCPS
    assert outlook(root).boot[0].startswith("under sysctl --system, which runs here at boot: /etc/sysctl.conf:1")
    (root / "run/systemd/system").mkdir(parents=True)
    assert program(root) == SYSTEMD
    assert (
        outlook(root).boot[0].startswith("under systemd-sysctl, which runs here at boot: /etc/sysctl.d/50-a.conf")
    )
    assert len(outlook(root).boot) == 2


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({}, ""),
        ({"etc/sysctl.d/99-x.conf": f"\n{SOMAXCONN} = 5\n"}, "/etc/sysctl.d/99-x.conf:2 sets 5 later under"),
        ({"etc/sysctl.d/99-x.conf": f"{SOMAXCONN} = 8192\n"}, ""),
        ({"etc/sysctl.d/10-x.conf": f"{SOMAXCONN} = 5\n"}, ""),
        (
            {"etc/sysctl.d/99-x.conf": f"-{SOMAXCONN}\n"},
            "99-x.conf:1 keeps it from being set under systemd-sysctl",
        ),
        ({"etc/sysctl.d/sockmon.conf": "net.core.* = 7\n"}, ""),
        ({"usr/lib/sysctl.d/99-x.conf": f"{SOMAXCONN} = 5\n"}, "/usr/lib/sysctl.d/99-x.conf:1 sets 5 later"),
        ({FILE[1:]: f"# sockmon x\n{SOMAXCONN} = 1\n{SOMAXCONN} = 2\n"}, f"{FILE}:3 sets 2 later"),
    ],
)
def test_s26_what_the_preview_says_is_what_keep_persist_finds(
    tmp_path: Path, files: dict[str, str], words: str
) -> None:
    root = root_with(tmp_path, files)
    said = at_boot(outlook(root))
    assert words in said
    assert ("until a restart only" in said) == bool(words)
    try:
        persist([Setting(SOMAXCONN, "4096", "8192")], ME, "20270101T000000-0", root)
    except NotPersisted:
        assert words
    else:
        assert not words
        assert outlook(root).value == "8192"


def test_s25_s26_s27_on_generated_trees_the_rivals_are_those_that_persist_meets(tmp_path: Path) -> None:
    met, keys = 0, [key for key in START if key in BY_KEY]
    for seed in range(100):
        root = tmp_path / str(seed)
        for directory in DIRECTORIES:
            (root / directory).mkdir(parents=True)
        for name, content in random_tree(seed, list(DIRECTORIES)).items():
            if isinstance(content, str):
                (root / name).symlink_to(content)
            else:
                (root / name).write_bytes(content)
        ours = root / FILE[1:]
        if ours.is_symlink():
            # A link is refused whatever the other files say.
            ours.unlink()
        before = ours.read_bytes() if ours.exists() else None
        found = outlooks(keys, root, root / "proc")
        for key in keys:
            # No line of such a tree has this value.
            against = bool(found[key].rivals or found[key].unread)
            try:
                persist([Setting(key, "0", "987654")], ME, "20270101T000000-0", root)
            except NotPersisted:
                assert against, f"tree {seed}: {key}"
                met += 1
            else:
                assert not against, f"tree {seed}: {key}: {found[key].rivals}"
            if before is not None:
                ours.write_bytes(before)
            else:
                ours.unlink(missing_ok=True)
    assert met > 30, "trees that stand against nothing prove nothing"


@pytest.mark.usefixtures("needs_userns")
@pytest.mark.parametrize("loader", LOADERS)
def test_S27_the_value_that_is_told_is_the_one_that_the_real_program_leaves_or_is_doubted(loader: Loader) -> None:
    if COMMANDS[loader] is None:
        pytest.skip(f"{loader} is not installed")
    right, wrong = inside(told_and_left, loader, 60)
    assert not wrong, "\n".join(wrong[:5])
    assert right > 100


def told_and_left(loader: Loader, count: int) -> tuple[int, list[str]]:
    """How many values were told without a doubt, and those that were not what the program left."""
    directories = hide_the_machines()
    rename_loopback()
    right, wrong = 0, []
    for seed in range(count):
        plant(random_tree(seed, directories), directories)
        left = done(loader)
        for key in (key for key in START if key in BY_KEY):
            winner = files.boot().fate(loader, key).winner
            said = START[key] if winner is None else winner.value or ""
            if winner and (winner.doubt or misread(BY_KEY[key], said)):
                continue
            right += 1
            if not same(BY_KEY[key], said, left[key]):
                wrong.append(f"tree {seed}: {key} is {left[key]!r}, told {said!r}")
    return right, wrong


def test_S27_a_value_that_the_kernel_does_not_take_as_it_stands_is_doubted(tmp_path: Path) -> None:
    for value, why in (("1e6", "an exponent"), ("010", "octal"), ("-1", "negative"), ("4294967296", "more than")):
        found = outlook(root_with(tmp_path, {"etc/sysctl.d/50-a.conf": f"{SOMAXCONN} = {value}\n"}))
        assert "the kernel may refuse or read otherwise" in found.boot[0], value
        assert why in found.boot[0]
        now = replace(seen(snapshot()), outlooks={SOMAXCONN: found})
        assert listing.at_boot(listing.rows([SOMAXCONN], now, None)[0]) == f"{value} ?"
    # Beyond bounds of our own, and fine for the kernel.
    found = outlook(root_with(tmp_path, {"etc/sysctl.d/50-a.conf": f"{SOMAXCONN} = 2147483647\n"}))
    assert found.boot == ("/etc/sysctl.d/50-a.conf:1 sets 2147483647",)


def test_a_file_that_cannot_be_read_may_hold_anything(tmp_path: Path) -> None:
    root = root_with(tmp_path, {})
    os.mkfifo(root / "etc/sysctl.d/99-fifo.conf")
    found = outlook(root)
    assert found.unread == ("/etc/sysctl.d/99-fifo.conf: not a regular file",)
    assert "it may hold a line that wins" in at_boot(found)


def test_who_else_sets_it_is_told_with_the_place(tmp_path: Path) -> None:
    root = root_with(
        tmp_path,
        {
            "etc/sysctl.d/60-site.conf": f"# Ansible managed\n{SOMAXCONN} = 1024\n{MAX} = 100000\n",
            "etc/tuned/active_profile": "ours\n",
            "etc/tuned/ours/tuned.conf": f"[sysctl]\n{SOMAXCONN}=2048\n",
            "proc/12/comm": "kube-proxy\n",
            "proc/self/comm": "tuned\n",
        },
    )
    found = outlook(root)
    assert (found.value, found.boot) == ("1024", ("/etc/sysctl.d/60-site.conf:2 sets 1024",))
    ansible, tuned = found.managers
    assert ansible == "/etc/sysctl.d/60-site.conf is written by Ansible, which will write it again"
    assert tuned.startswith("besides, tuned (/etc/tuned/ours/tuned.conf:2): its profile ours sets 2048")
    assert "tuned does not run now" in tuned
    assert any("kube-proxy may set it again" in words for words in outlook(root, MAX).managers)
    assert "Ansible" in at_boot(found)


def test_s15_a_line_for_the_other_name_of_the_number_is_told_too(tmp_path: Path) -> None:
    root = root_with(tmp_path, {"etc/sysctl.d/1.conf": "net.nf_conntrack_max = 5\n"})
    assert outlook(root, MAX).managers == (
        "besides, /etc/sysctl.d/1.conf:1 sets it to 5 by its other name, net.nf_conntrack_max",
    )


def test_s29_a_key_of_a_module_may_come_too_late(tmp_path: Path) -> None:
    found = outlook(root_with(tmp_path, {}), MAX)
    now = seen(snapshot())
    here = Here(values={**now.values, MAX: "262144"}, netns=1, boot_id="", snapshot=now.snapshot)
    previews = plan({MAX: "524288"}, replace(here, outlooks={MAX: found})).previews
    assert any("udev rule" in words for words in previews[0].boot)


def test_a_namespace_that_no_boot_sets_up(tmp_path: Path) -> None:
    said = at_boot(outlook(root_with(tmp_path, {})), door="blue")
    assert said == "No file of sysctl.d reaches this network namespace: whoever makes it has to set the value."


def test_hostile_text_of_files_is_harmless(tmp_path: Path) -> None:
    root = root_with(
        tmp_path,
        {
            "etc/sysctl.d/99-\x1b[2J.conf": f"{SOMAXCONN} = 1\x1b]52;c;x\x07 # [red]\n",
            "etc/tuned/active_profile": "ours\n",
            "etc/tuned/ours/tuned.conf": f"[sysctl]\n{SOMAXCONN}=\x1b[31m9\n",
            "proc/1/comm": "kube\x1bproxy\n",
            "proc/1/cgroup": "0::/system.slice/\x1b[2J.service\n",
        },
    )
    found = outlooks([SOMAXCONN, "nofile@1"], root, root / "proc")
    assert "\x1b" not in repr([found[key] for key in found]).replace("\\x1b", "\x1b")
    assert "what looks like a comment is part of the value" in found[SOMAXCONN].boot[0]
    assert found["nofile@1"].unit == ""


def test_the_unit_of_a_process(tmp_path: Path) -> None:
    root = root_with(
        tmp_path,
        {
            "7/cgroup": "4:memory:/x.service\n1:name=systemd:/system.slice/web.service\n0::/\n",
            "8/cgroup": "0::/system.slice/web:two.service\n",
            "9/cgroup": "\n:\n0:\nx\n",
        },
    )
    assert [unit_of(pid, root) for pid in (7, 8, 9, 10)] == ["web.service", "web:two.service", "", ""]


def test_the_list_shows_it_where_there_is_room(tmp_path: Path) -> None:
    now = seen(snapshot())
    same = root_with(tmp_path / "same", {"etc/sysctl.d/1.conf": f"{SOMAXCONN} = 64\n"})
    two = root_with(tmp_path / "two", {"etc/sysctl.conf": f"{SOMAXCONN} = 64\n"})
    none = root_with(tmp_path / "none", {})
    for root, boot, shown in ((same, "64", "64"), (two, None, "two answers"), (none, None, "–")):
        here = replace(now, outlooks=outlooks([SOMAXCONN], root, root / "proc"))
        rows = listing.rows([SOMAXCONN], here, None)
        assert (rows[0].boot, rows[0].outlook) == (boot, here.outlooks[SOMAXCONN])
        head, line = listing.as_text(rows, 160).splitlines()
        assert line[head.index("AT BOOT") :].startswith(f"{shown} ")
        assert "AT BOOT" not in listing.as_text(rows, 100)
        assert any(section.name == "At boot" for section in listing.one(rows[0], here)[2])


def test_the_page_of_a_plan_has_it() -> None:
    now = replace(seen(snapshot()), outlooks={SOMAXCONN: Outlook(None, ("no file sets it",))})
    title, _, sections = pages(plan({SOMAXCONN: "8192"}, now))[0]
    assert title == SOMAXCONN
    assert sections[-1].name == "At boot"
