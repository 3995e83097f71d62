"""The sysctls without a row: each has a page about itself, with the scope that this kernel gives it."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from sockmon.errors import NotTuned
from sockmon.explain.explanation import build_explanation, sysctls_of
from sockmon.explain.observation import Observation
from sockmon.explain.symptoms import Symptom
from sockmon.explain.topics import find
from sockmon.kernel.sysctl import path
from sockmon.kernel.sysctl_tree import sysctl_keys
from sockmon.tunables import BY_KEY, REMOVED, Tunable
from sockmon.tunables.others import OTHERS
from sockmon.tunables.untuned import (
    INITIAL_NETNS,
    NETNS,
    NETNS_AS_HOST,
    READ_ONLY_ELSEWHERE,
    OtherKey,
    PresentKey,
    RemovedKey,
)
from sockmon.tuning.boot.lines_about import lines_about
from sockmon.tuning.planning.naming import find_key, find_setting, matching_keys, nearest_keys
from tests.netns import inside

ROOT = Path("/proc/sys")
BLIND = Observation(None, None, {}, "not read")
FOLDERS = ("net", "fs", "kernel", "vm")


def walk() -> list[str]:
    """Return every key of this kernel below net, fs, kernel and vm, those of each interface included."""
    to_key = str.maketrans("./", "/.")
    found = []
    for name in FOLDERS:
        for folder, _, files in os.walk(ROOT / name):
            found += [f"{folder}/{file}"[len("/proc/sys/") :].translate(to_key) for file in files]
    return found


def page(key: str, present: list[str]) -> tuple[str, str]:
    topic = find(key, present)
    if isinstance(topic, Symptom):
        # What the kernel logs about perf names its key.
        assert key in topic.other_names
        return key, topic.description
    made = build_explanation(topic, BLIND, {})
    text = " ".join(" ".join(section.paragraphs) for section in made.sections)
    assert all(paragraph.strip(". ") for section in made.sections for paragraph in section.paragraphs), key
    assert made.what, key
    assert key in sysctls_of(topic), key
    return made.title.partition(" ")[0], text


def test_every_key_of_this_kernel_has_a_page_about_itself() -> None:
    keys, present = walk(), sysctl_keys()
    assert len(keys) > 400
    wrong = []
    for key in keys:
        for name in (key, f"/proc/sys/{path(key)[4:]}"):
            (named,) = matching_keys(name, present)
            row = named.about
            same_number = isinstance(row, Tunable) and key in row.aliases
            expected = row.key if same_number else key
            title, text = page(name, present) if name == key else (key, "")
            if named.key != expected or (name == key and (title != expected or (same_number and key not in text))):
                wrong.append(f"{name}: {named.key}, {title}")
    assert wrong == []


def test_a_plan_for_any_key_of_this_kernel_is_about_that_key_or_refused_with_its_name() -> None:
    present = sysctl_keys()
    for key in walk():
        named = find_key(key, present)
        if isinstance(named.about, Tunable):
            found, row = find_setting(key)
            assert found == (row.key if key in row.aliases else key)
        elif not isinstance(named.about, PresentKey):
            with pytest.raises(NotTuned, match=re.escape(key)):
                find_setting(key)


def test_most_keys_of_net_have_a_text() -> None:
    present = sysctl_keys()
    unknown = [key for key in walk() if key.startswith("net.") and find_key(key, present).kind == "unknown"]
    assert len(unknown) < 40, unknown


def test_no_key_has_two_texts() -> None:
    keys = [*BY_KEY, *(key for row in REMOVED for key in row.keys), *(row.key for row in OTHERS)]
    assert sorted(set(keys)) == sorted(keys)


@pytest.mark.parametrize("row", OTHERS, ids=lambda row: row.key)
def test_a_text_is_made_of_sentences(row: OtherKey) -> None:
    for text in (row.description, row.limits):
        assert text[0].isupper(), text
        assert text.endswith("."), text
        assert "  " not in text
    assert not row.scope_text.endswith(".")


@pytest.mark.usefixtures("needs_userns")
def test_the_scope_of_every_key_of_net_is_what_a_fresh_namespace_shows() -> None:
    here = [row.key for row in OTHERS if file_of(row).exists()]
    assert inside(wrong_scopes, here) == []


def file_of(row: OtherKey) -> Path:
    name = "lo" if ".neigh." in row.key else "all" if ".conf." in row.key else "0"
    return Path("/proc", path(row.key.replace("*", name)))


def wrong_scopes(here: list[str]) -> list[str]:
    """Return the keys that are not writable in a new namespace although each has its own, or the other way.

    `here`: the keys of the namespace of the tests."""
    wrong = []
    for row in OTHERS:
        own = row.scope_text in (NETNS, NETNS_AS_HOST)
        file = file_of(row)
        if row.scope_text not in (NETNS, NETNS_AS_HOST, INITIAL_NETNS, READ_ONLY_ELSEWHERE):
            continue
        if row.key not in here and not file.exists():
            continue
        writable = file.exists() and bool(file.stat().st_mode & 0o222)
        read_only = "read-only" in row.description
        if own and not file.exists():
            wrong.append(f"{row.key}: absent")
        if writable != (own and not read_only):
            wrong.append(f"{row.key}: {'writable' if writable else 'not writable'}")
    return wrong


@pytest.mark.parametrize("row", REMOVED, ids=lambda row: row.key)
def test_a_removed_key_has_a_page_of_its_own_and_is_not_in_this_kernel(row: RemovedKey) -> None:
    for key in row.keys:
        assert not Path("/proc", path(key)).exists()
        title, text = page(key, [])
        assert title == key
        assert "Linux" in text or "kernel.org" in text
        assert find_key(key).kind == "removed"


def test_a_line_about_a_removed_key_does_nothing(tmp_path: Path) -> None:
    folder = tmp_path / "etc/sysctl.d"
    folder.mkdir(parents=True)
    (folder / "50-old.conf").write_text("\nnet.ipv4.tcp_tw_recycle = 1\nnet.ipv4.tcp_ecn = 1\n")
    (folder / "60-old.conf").write_text("net.ipv4.tcp_tw_recycle = 0\n")
    gone = lines_about("net.ipv4.tcp_tw_recycle", True, tmp_path)
    assert [line.at for line in gone.lines] == ["/etc/sysctl.d/50-old.conf:2", "/etc/sysctl.d/60-old.conf:1"]
    assert all("does nothing" in text for text in gone.sentences(absent=True))


def test_what_a_boot_leaves_of_a_key_that_is_not_tuned(tmp_path: Path) -> None:
    folder = tmp_path / "etc/sysctl.d"
    folder.mkdir(parents=True)
    (folder / "50-x.conf").write_text("net.ipv4.tcp_ecn = 1\nnet.ipv4.tcp_fastopen = abc\n")
    (folder / "60-x").write_text("vm.swappiness = 10\n")
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/comm").write_text("kubelet\n")

    def said(key: str, absent: bool = False) -> tuple[str, ...]:
        return lines_about(key, False, tmp_path, tmp_path / "proc").sentences(absent)

    assert said("net.ipv4.tcp_ecn") == ("/etc/sysctl.d/50-x.conf:1 sets 1.",)
    assert said("net.ipv4.tcp_ecn", absent=True) == (
        "/etc/sysctl.d/50-x.conf:1 sets 1, if the key exists when the line is read: it does not exist now.",
    )
    assert said("net.ipv4.tcp_sack") == ("No file sets it.",)
    (unknown,) = said("net.ipv4.tcp_fastopen")
    assert unknown.startswith("Unknown: /etc/sysctl.d/50-x.conf:2 writes `abc`: sockmon does not know whether")
    assert said("vm.swappiness")[1].startswith("/etc/sysctl.d/60-x:1 looks as if it set it, but no program reads")
    assert said("vm.overcommit_memory")[1].startswith("When it starts, kubelet sets 1")


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ("vm.swapiness", "vm.swappiness"),
        ("net.ipv4.tcp_ecnn", "net.ipv4.tcp_ecn"),
        ("net.ipv4.tcp_keepalive_tme", "net.ipv4.tcp_keepalive_time"),
        ("net.core.somaxcon", "net.core.somaxconn"),
        ("fs.file_maxx", "fs.file-max"),
    ],
)
def test_a_misspelt_key_gets_the_nearest(typed: str, meant: str) -> None:
    assert meant in nearest_keys(typed, sysctl_keys())


def test_the_name_of_an_interface_stays_as_it_is() -> None:
    assert find_key("/proc/sys/net/ipv4/conf/Eth0.5/rp_filter").key == "net.ipv4.conf.Eth0/5.rp_filter"
    assert find_key("net.netfilter.nf_log.10").about is find_key("net.netfilter.nf_log.2").about
    for name in (
        "net.ipv4.conf.//.rp_filter",
        "/proc/sys/net/ipv4/conf/../rp_filter",
        "net.ipv4.conf./.rp_filter",
    ):
        assert ".." not in path(find_key(name).key) if matching_keys(name) else True
