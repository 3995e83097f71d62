"""One resolver of names, and every verb that takes a name knows the same ones."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from sockmon.errors import NoSuchName
from sockmon.tunables import BY_KEY, REMOVED
from sockmon.tuning.planning.naming import NamedKey, dotted, find_key, find_setting, matching_keys
from tests.netns import child_environment

NAMES = [
    ("net.core.somaxconn", "net.core.somaxconn"),
    ("somaxconn", "net.core.somaxconn"),
    ("core.somaxconn", "net.core.somaxconn"),
    ("NET.CORE.SOMAXCONN", "net.core.somaxconn"),
    ("net/core/somaxconn", "net.core.somaxconn"),
    ("/proc/sys/net/core/somaxconn", "net.core.somaxconn"),
    ("sys/net/core/somaxconn", "net.core.somaxconn"),
    ("proc/sys/net/core/somaxconn/", "net.core.somaxconn"),
    ("net.core/somaxconn", "net.core.somaxconn"),
    ("tcp_fin_timeout", "net.ipv4.tcp_fin_timeout"),
    ("nf_conntrack_max", "net.netfilter.nf_conntrack_max"),
    ("net.nf_conntrack_max", "net.netfilter.nf_conntrack_max"),
    ("net.ipv4.ip_conntrack_max", "net.netfilter.nf_conntrack_max"),
    ("net.ipv4.netfilter.ip_conntrack_max", "net.netfilter.nf_conntrack_max"),
    ("ip_conntrack_max", "net.netfilter.nf_conntrack_max"),
    ("net.ipv4.netfilter.ip_conntrack_count", "net.netfilter.nf_conntrack_count"),
    ("ip_conntrack_tcp_timeout_established", "net.netfilter.nf_conntrack_tcp_timeout_established"),
    ("threads-max", "kernel.threads-max"),
    ("threads_max", "kernel.threads-max"),
    ("kernel/threads-max", "kernel.threads-max"),
    ("inotify.max_user_watches", "fs.inotify.max_user_watches"),
    ("max_inotify_watches", "user.max_inotify_watches"),
    ("memory-maps", "vm.max_map_count"),
    ("nofile", "nofile"),
    ("nofile@1044", "nofile@1044"),
]
"""What a person types → the key that is meant today."""


@pytest.mark.parametrize(("name", "key"), NAMES)
def test_a_name_means_one_key(name: str, key: str) -> None:
    assert find_setting(name)[0] == key


@pytest.mark.parametrize("key", BY_KEY)
def test_every_key_in_every_spelling_means_itself(key: str) -> None:
    row = BY_KEY[key]
    expected = row.key if key in row.aliases else key
    for name in (key, key.replace(".", "/"), f"/proc/sys/{key.replace('.', '/')}", key.upper()):
        assert find_key(name) == NamedKey(expected, row)


def test_a_path_keeps_the_dots_of_an_interface_as_sysctl_writes_them() -> None:
    assert dotted("/proc/sys/net/ipv4/conf/eth0.100/rp_filter") == "net.ipv4.conf.eth0/100.rp_filter"
    assert dotted("net.ipv4.conf.eth0/100.rp_filter") == "net.ipv4.conf.eth0/100.rp_filter"


@pytest.mark.parametrize(
    ("name", "candidates"),
    [
        ("max_user_watches", ("fs.epoll.max_user_watches", "fs.inotify.max_user_watches")),
        ("gc_thresh3", ("net.ipv4.neigh.default.gc_thresh3", "net.ipv6.neigh.default.gc_thresh3")),
        ("accept-queue", ("net.core.somaxconn", "net.ipv4.tcp_abort_on_overflow")),
        ("Accept Queue", ("net.core.somaxconn", "net.ipv4.tcp_abort_on_overflow")),
    ],
)
def test_an_ambiguous_name_lists_its_candidates(name: str, candidates: tuple[str, ...]) -> None:
    with pytest.raises(NoSuchName) as failure:
        find_key(name)
    assert all(key in failure.value.hint for key in candidates)


@pytest.mark.parametrize(
    "name", ["", " ", ".", "..", "/", "net.", "\0", "x" * 999, "conf.eth0/100", "nofile@", "@1"]
)
def test_no_name_is_an_error_with_a_hint(name: str) -> None:
    assert matching_keys(name) == ()
    with pytest.raises(NoSuchName) as failure:
        find_key(name)
    assert failure.value.hint
    assert len(failure.value.message) < 120


def test_the_nearest_names_are_suggested() -> None:
    with pytest.raises(NoSuchName) as failure:
        find_key("tcp_fin_timout")
    assert "net.ipv4.tcp_fin_timeout" in failure.value.hint


def test_what_was_renamed_points_to_a_key_that_can_be_set() -> None:
    assert all(find_key(row.replaced_by) for row in REMOVED if row.replaced_by)


def sockmon(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sockmon", *argv]
    return subprocess.run(command, capture_output=True, text=True, env=child_environment(), timeout=120)


@pytest.mark.parametrize("name", ["somaxconn", "/proc/sys/net/core/somaxconn", "net/core/somaxconn"])
def test_every_verb_takes_the_same_names(name: str) -> None:
    shown = sockmon("tune", "show", name, "--json")
    assert json.loads(shown.stdout)["key"] == "net.core.somaxconn", shown.stderr
    explained = sockmon("explain", name, "--json")
    assert json.loads(explained.stdout)["name"] == "net.core.somaxconn", explained.stderr
    planned = sockmon("tune", "plan", f"{name}=9999")
    assert planned.returncode == 0, planned.stderr
    assert "net.core.somaxconn=9999" in planned.stdout
    asked = sockmon("tune", "apply", f"{name}=many", "--yes")
    assert asked.returncode == 64
    assert "net.core.somaxconn: `many`" in asked.stderr


@pytest.mark.usefixtures("needs_userns")
def test_prove_takes_a_short_name() -> None:
    proved = sockmon("prove", "max_dgram_qlen", "--json")
    assert json.loads(proved.stdout)["key"] == "net.unix.max_dgram_qlen", proved.stderr


def test_an_older_name_has_a_page_of_its_own_and_a_plan_uses_the_new_one() -> None:
    shown = sockmon("tune", "show", "net.ipv4.ip_conntrack_max", "--json")
    found = json.loads(shown.stdout)
    assert (found["key"], found["kind"], found["current"]) == ("net.ipv4.ip_conntrack_max", "removed", None)
    planned = sockmon("tune", "plan", "net.ipv4.ip_conntrack_max=many")
    assert "net.ipv4.ip_conntrack_max is now called net.netfilter.nf_conntrack_max" in planned.stderr


def test_a_dot_in_the_name_of_an_interface_is_written_as_a_slash() -> None:
    for typed in ("net.ipv4.conf.eth0.100.rp_filter", "net/ipv4/conf/eth0/100/rp_filter"):
        with pytest.raises(NoSuchName) as found:
            find_key(typed)
        assert found.value.hint == (
            "in the name of an interface a dot is written as a slash: net.ipv4.conf.eth0/100.rp_filter"
        )
    assert find_key("net.ipv4.conf.eth0/100.rp_filter").kind == "other"
