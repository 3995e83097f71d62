"""The forecast of a value after a reboot: the preview of a change says what `keep --persist` finds after it."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from sockmon.kernel.limit_origin.process_chain import unit_of_process
from sockmon.model.boot import BootForecast, BootOverride
from sockmon.model.plan import Setting
from sockmon.tunables.lasting_in_netns import NO_FILE_APPLIES
from sockmon.tuning.boot.atomic_file import NotPersisted
from sockmon.tuning.boot.dropin import FILE, persist
from sockmon.tuning.boot.forecast import boot_forecasts, program_at_boot
from sockmon.tuning.boot.sysctl_d import DIRECTORIES, PROCPS, SYSTEMD
from sockmon.tuning.planning import catalog
from sockmon.tuning.planning.context import PlanContext, from_snapshot
from sockmon.tuning.planning.plan import make_plan
from sockmon.tuning.planning.proposal_pages import pages
from tests.snapshots import snapshot
from tests.tuning.sample_change import ACTOR
from tests.tuning.sysctl_programs import (
    START,
    random_tree,
)

SOMAXCONN, MAX = "net.core.somaxconn", "net.netfilter.nf_conntrack_max"


def root_with(tmp_path: Path, files: dict[str, str]) -> Path:
    (tmp_path / "etc/sysctl.d").mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    return tmp_path


NEW_VALUES = {
    SOMAXCONN: "777",
    "net.ipv4.tcp_max_tw_buckets": "7777",
    "net.ipv4.ip_local_port_range": "1026 64999",
    "net.ipv4.ip_unprivileged_port_start": "1200",
    "net.ipv4.ip_local_reserved_ports": "777",
    "net.ipv4.tcp_fin_timeout": "77",
}
"""Values that no generated tree has."""


def forecast_of(root: Path, key: str = SOMAXCONN) -> BootForecast:
    return boot_forecasts([key], root, root / "proc")[key]


def at_boot(found: BootForecast, value: str = "8192", netns_spec: str = "") -> str:
    """Return what the preview has about it."""
    now = replace(from_snapshot(snapshot()), forecasts={SOMAXCONN: found}, netns_spec=netns_spec)
    (preview,) = make_plan({SOMAXCONN: value}, now).previews
    return "\n".join(preview.at_boot)


def test_where_no_file_sets_it_our_own_would_win(tmp_path: Path) -> None:
    found = forecast_of(root_with(tmp_path, {}))
    assert found == BootForecast(None, ("no file sets it",))
    assert at_boot(found).splitlines() == [
        "No file sets it.",
        f"Kept, it lasts until the next reboot; persisted, it is also written to {FILE}, which wins.",
    ]


@pytest.mark.fault("S25")
def test_s25_if_the_two_programs_differ_both_are_shown_and_which_one_runs_here(tmp_path: Path) -> None:
    files = {"etc/sysctl.d/50-a.conf": f"{SOMAXCONN} = 203\n", "etc/sysctl.conf": f"{SOMAXCONN} = 211\n"}
    root = root_with(tmp_path, files)
    found = forecast_of(root)
    assert found.value is None
    assert found.sentences == (
        "under systemd-sysctl: /etc/sysctl.d/50-a.conf:1 sets 203",
        "under sysctl --system: /etc/sysctl.conf:1 sets 211",
        "it is not known which of the two runs here at boot",
    )
    assert found.overrides == (
        BootOverride(PROCPS, "/etc/sysctl.conf:1", "211", "/etc/sysctl.conf", 1, SOMAXCONN),
    )
    assert (
        "Persisted, it would still last only until sysctl.d is applied again (a package may do that):"
        " /etc/sysctl.conf:1 sets 211 later" in at_boot(found)
    )
    (root / "etc/init.d").mkdir()
    (root / "etc/init.d/procps").touch()
    assert program_at_boot(root) == PROCPS
    assert (
        forecast_of(root)
        .sentences[0]
        .startswith("under sysctl --system, which runs here at boot: /etc/sysctl.conf:1")
    )
    (root / "run/systemd/system").mkdir(parents=True)
    assert program_at_boot(root) == SYSTEMD
    assert (
        forecast_of(root)
        .sentences[0]
        .startswith("under systemd-sysctl, which runs here at boot: /etc/sysctl.d/50-a.conf")
    )
    assert len(forecast_of(root).sentences) == 2


@pytest.mark.fault("S26")
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
    said = at_boot(forecast_of(root))
    assert words in said
    assert ("still last only until" in said) == bool(words)
    try:
        persist([Setting(SOMAXCONN, "4096", "8192")], ACTOR, "20270101T000000-0", root)
    except NotPersisted:
        assert words
    else:
        assert not words
        assert forecast_of(root).value == "8192"


@pytest.mark.fault("S25", "S26", "S27")
def test_s25_s26_s27_on_generated_trees_the_rivals_are_those_that_persist_meets(tmp_path: Path) -> None:
    met = 0
    for seed in range(60):
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
        found = boot_forecasts(list(NEW_VALUES), root, root / "proc")
        now = PlanContext(values=START, netns_inode=1, boot_id="", forecasts=found)
        for key, value in NEW_VALUES.items():
            said = "\n".join(make_plan({key: value}, now).previews[0].at_boot)
            against, refused = "still last only until" in said, ""
            try:
                persist([Setting(key, "0", value)], ACTOR, "20270101T000000-0", root)
            except NotPersisted as error:
                refused = error.message
                met += 1
            assert against == bool(refused), f"tree {seed}: {key}: {refused}; {said}"
            if before is not None:
                ours.write_bytes(before)
            else:
                ours.unlink(missing_ok=True)
    assert met > 30, "trees that stand against nothing prove nothing"


@pytest.mark.fault("S27")
def test_S27_a_value_is_what_the_kernel_makes_of_the_text(tmp_path: Path) -> None:
    for value, said, shown in (
        ("1e6", "the kernel refuses /etc/sysctl.d/50-a.conf:1, `1e6`, with EINVAL", "–"),
        ("-1", "EINVAL: -1 is less than 0", "–"),
        ("4294967296", "EINVAL: 4294967296 is more than", "–"),
        ("010", "50-a.conf:1 sets 8: so the kernel reads `010`", "8"),
        ("3000   # more", "sets 3000, and the kernel passes over the rest of the line, `# more`", "3000"),
    ):
        found = forecast_of(root_with(tmp_path, {"etc/sysctl.d/50-a.conf": f"{SOMAXCONN} = {value}\n"}))
        assert said in found.sentences[0], value
        now = replace(from_snapshot(snapshot()), forecasts={SOMAXCONN: found})
        assert catalog.boot_value(catalog.rows([SOMAXCONN], now, None)[0]) == shown
    # Beyond bounds of our own, and fine for the kernel.
    found = forecast_of(root_with(tmp_path, {"etc/sysctl.d/50-a.conf": f"{SOMAXCONN} = 2147483647\n"}))
    assert found.sentences == ("/etc/sysctl.d/50-a.conf:1 sets 2147483647",)


def test_a_file_that_cannot_be_read_may_hold_anything(tmp_path: Path) -> None:
    root = root_with(tmp_path, {})
    os.mkfifo(root / "etc/sysctl.d/99-fifo.conf")
    found = forecast_of(root)
    assert found.unread == ("/etc/sysctl.d/99-fifo.conf cannot be read: not a regular file",)
    said = at_boot(found)
    assert "Persisted, it may still last only until the next reboot: " in said
    assert "it may hold a line that wins" in said


def test_where_two_lines_are_equal_the_last_one_is_named_for_both_programs(tmp_path: Path) -> None:
    lines = {f"etc/sysctl.d/{name}.conf": f"{SOMAXCONN} = 7\n" for name in ("10-a", "50-b")}
    root = root_with(tmp_path, lines)
    assert forecast_of(root).sentences == ("/etc/sysctl.d/50-b.conf:1 sets 7",)
    # systemd-sysctl does not read sysctl.conf: there each has its own line.
    (root / "etc/sysctl.conf").write_text(f"{SOMAXCONN} = 7\n")
    assert forecast_of(root).sentences[:2] == (
        "under systemd-sysctl: /etc/sysctl.d/10-a.conf:1 sets 7",
        "under sysctl --system: /etc/sysctl.conf:1 sets 7",
    )


def test_an_empty_value_that_is_refused_is_called_empty(tmp_path: Path) -> None:
    found = forecast_of(root_with(tmp_path, {"etc/sysctl.d/5.conf": f"{SOMAXCONN} =\n"}))
    assert found.sentences == (
        "no file sets it; the kernel refuses /etc/sysctl.d/5.conf:1, `(empty)`, with EINVAL: it has no number",
    )


def test_what_else_sets_a_key_is_shown_with_its_place(tmp_path: Path) -> None:
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
    found = forecast_of(root)
    assert (found.value, found.sentences) == ("1024", ("/etc/sysctl.d/60-site.conf:2 sets 1024",))
    ansible, tuned = found.managers
    assert ansible == "/etc/sysctl.d/60-site.conf is written by Ansible, which will write it again"
    site, ours = "/etc/sysctl.d/60-site.conf:2", "/etc/tuned/ours/tuned.conf:2"
    assert tuned == f"once it runs, tuned will set 1024 ({site}), not 2048 ({ours})"
    assert any("kube-proxy may set" in words for words in forecast_of(root, MAX).managers)
    assert "Ansible" in at_boot(found)


@pytest.mark.fault("S15")
def test_s15_a_line_for_another_name_of_the_number_is_shown_too(tmp_path: Path) -> None:
    root = root_with(tmp_path, {"etc/sysctl.d/99-cluster.conf": "net.nf_conntrack_max = 98304\n"})
    found = forecast_of(root, MAX)
    assert found.value == "98304"
    assert found.sentences == (
        "/etc/sysctl.d/99-cluster.conf:1 sets it to 98304 by its other name, net.nf_conntrack_max",
    )
    assert found.overrides[0].at == "/etc/sysctl.d/99-cluster.conf:1"
    with pytest.raises(NotPersisted) as refused:
        persist([Setting(MAX, "262144", "393216")], ACTOR, "20270101T000000-0", root)
    assert refused.value.hint.startswith(
        "to persist it, change line 1 of /etc/sysctl.d/99-cluster.conf to `net.nf_conntrack_max = 393216`"
    )


@pytest.mark.fault("S15")
def test_s15_list_and_plan_speak_of_the_other_name_too(tmp_path: Path) -> None:
    root = root_with(tmp_path, {"etc/sysctl.d/99-cluster.conf": "net.nf_conntrack_max = 98304\n"})
    now = PlanContext(
        values={MAX: "262144"}, netns_inode=1, boot_id="", forecasts=boot_forecasts([MAX], root, root / "proc")
    )
    assert catalog.boot_value(catalog.rows([MAX], now, None)[0]) == "98304"
    said = "\n".join(make_plan({MAX: "393216"}, now).previews[0].at_boot)
    assert "/etc/sysctl.d/99-cluster.conf:1 sets 98304 later under systemd-sysctl and sysctl --system" in said
    assert "change line 1 of /etc/sysctl.d/99-cluster.conf to `net.nf_conntrack_max = 393216`" in said


@pytest.mark.fault("S15")
@pytest.mark.parametrize("later", ["net.nf_conntrack_max", MAX])
def test_s15_of_both_names_in_one_file_the_later_line_holds(tmp_path: Path, later: str) -> None:
    first = MAX if later != MAX else "net.nf_conntrack_max"
    root = root_with(tmp_path, {"etc/sysctl.d/50-x.conf": f"{first} = 800000\n{later} = 400000\n"})
    assert forecast_of(root, MAX).value == "400000"


@pytest.mark.fault("S29")
def test_s29_a_key_of_a_module_may_come_too_late(tmp_path: Path) -> None:
    found = forecast_of(root_with(tmp_path, {}), MAX)
    now = from_snapshot(snapshot())
    here = PlanContext(values={**now.values, MAX: "262144"}, netns_inode=1, boot_id="", snapshot=now.snapshot)
    previews = make_plan({MAX: "524288"}, replace(here, forecasts={MAX: found})).previews
    assert any("udev rule" in words for words in previews[0].at_boot)


def test_a_namespace_that_no_boot_sets_up(tmp_path: Path) -> None:
    said = at_boot(forecast_of(root_with(tmp_path, {})), netns_spec="blue")
    assert said == NO_FILE_APPLIES


@pytest.mark.fault("U1")
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
    found = boot_forecasts([SOMAXCONN, "nofile@1"], root, root / "proc")
    assert "\x1b" not in repr([found[key] for key in found]).replace("\\x1b", "\x1b")
    assert "the kernel refuses /etc/sysctl.d/99-" in found[SOMAXCONN].sentences[0]
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
    assert [unit_of_process(pid, root) for pid in (7, 8, 9, 10)] == ["web.service", "web:two.service", "", ""]


def test_the_list_shows_it_where_there_is_room(tmp_path: Path) -> None:
    now = from_snapshot(snapshot())
    same = root_with(tmp_path / "same", {"etc/sysctl.d/1.conf": f"{SOMAXCONN} = 64\n"})
    two = root_with(tmp_path / "two", {"etc/sysctl.conf": f"{SOMAXCONN} = 64\n"})
    none = root_with(tmp_path / "none", {})
    for root, boot, shown in ((same, "64", "64"), (two, None, "ambiguous"), (none, None, "–")):
        here = replace(now, forecasts=boot_forecasts([SOMAXCONN], root, root / "proc"))
        rows = catalog.rows([SOMAXCONN], here, None)
        assert (rows[0].boot, rows[0].forecast) == (boot, here.forecasts[SOMAXCONN])
        head, line = catalog.as_text(rows, 160).splitlines()
        assert line[head.index("AT BOOT") :].startswith(f"{shown} ")
        assert "AT BOOT" not in catalog.as_text(rows, 100)
        assert any(section.name == "At boot" for section in catalog.setting_page(rows[0], here)[2])


def test_the_page_of_a_plan_has_it() -> None:
    now = replace(from_snapshot(snapshot()), forecasts={SOMAXCONN: BootForecast(None, ("no file sets it",))})
    title, _, sections = pages(make_plan({SOMAXCONN: "8192"}, now))[0]
    assert title == SOMAXCONN
    assert sections[-1].name == "At boot"
