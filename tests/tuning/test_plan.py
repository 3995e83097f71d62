"""From wishes to a plan: what is refused, in which order it is written, and that the preview says the truth.

Facts about the kernel are asked of the kernel, in a private namespace.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import re
import socket
import subprocess
import sys
from collections.abc import Mapping
from itertools import permutations
from typing import Any

import pytest
from msgspec.structs import replace

from sockmon.assess import Assessor
from sockmon.check import replayed
from sockmon.errors import BadValue, Refused
from sockmon.model.change import Proposal
from sockmon.model.report import Remedy
from sockmon.model.snapshot import BoundSource, Conntrack, Files, Memory, Netns
from sockmon.tunables import BY_KEY, TUNABLES
from sockmon.tunables.value import parse
from sockmon.tuning import listing
from sockmon.tuning.advice import advice
from sockmon.tuning.here import RANGE, RESERVED, UNPRIVILEGED, Here, seen
from sockmon.tuning.look import look
from sockmon.tuning.plan import names, plan
from tests.netns import ROOT, child_environment, inside, refusal
from tests.snapshots import SYSCTLS, group, netns, ports, process, snapshot

real = pytest.mark.skipif(refusal() is not None, reason=f"no private namespaces here: {refusal()}")
MAX, BUCKETS = "net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_buckets"
SOMAXCONN = "net.core.somaxconn"
RECORDINGS = ROOT / "sockmon" / "labs" / "recordings"
GC = "net.ipv4.neigh.default.gc_thresh"


def here(space: Netns | None = None, memory: int = 24 << 30, **values: str) -> Here:
    """A healthy invented host, with other values by the last part of their key."""
    now = seen(snapshot(netns=(space or netns(),)))
    written = {key: value for name, value in values.items() for key in BY_KEY if key.endswith("." + name)}
    extra = {RESERVED: "", MAX: "262144", BUCKETS: "262144"}
    return Here(
        values={**extra, **now.values, **written},
        netns=now.netns,
        boot_id=now.boot_id,
        snapshot=now.snapshot,
        memory=memory,
    )


def refused(wanted: Mapping[str, str], where: Here | None = None) -> Refused:
    with pytest.raises(Refused) as caught:
        plan(wanted, where or here())
    return caught.value


def keys(proposal: Proposal) -> list[str]:
    return [setting.key for setting in proposal.plan.settings]


def test_the_preview_says_old_and_new_in_numbers() -> None:
    found = plan({RANGE: "1024 65535", SOMAXCONN: "8192"}, here(netns(listeners=())))
    by_key = {preview.setting.key: preview for preview in found.previews}
    assert by_key[RANGE].effect == "28,232 -> 64,512 ports to each destination"
    assert "at once" in by_key[RANGE].when
    assert not by_key[RANGE].warnings
    assert "4,096 -> 8,192" in by_key[SOMAXCONN].effect
    assert found.commands == (f"sysctl -w {RANGE}='1024 65535'", f"sysctl -w {SOMAXCONN}=8192")
    assert found.back == (f"sysctl -w {SOMAXCONN}=4096", f"sysctl -w {RANGE}='32768 60999'")


def test_s22_listeners_that_keep_their_backlog_are_named() -> None:
    (preview,) = plan({SOMAXCONN: "8192"}, here()).previews
    assert any("0.0.0.0:8080 nginx[1044] keeps its backlog of 128" in words for words in preview.keeps)


def test_s23_every_preview_says_what_stays() -> None:
    for row in TUNABLES:
        assert not row.settable or row.keeps, row.key


def test_a_listener_inside_the_new_range_is_named_and_how_to_keep_its_port() -> None:
    (preview,) = plan({RANGE: "1024 65535"}, here()).previews
    assert preview.effect.endswith("-> 64,511 ports to each destination")
    assert any("nginx[1044]" in words and f"{RESERVED}=8080" in words for words in preview.warnings)
    both = plan({RANGE: "1024 65535", RESERVED: "8080"}, here())
    assert keys(both) == [RESERVED, RANGE], "reserved before the range reaches it"
    assert not any("nginx" in words for preview in both.previews for words in preview.warnings)


def test_node_ports_are_thought_of_where_kubernetes_runs() -> None:
    space = seen(snapshot(0.0, process(name="kube-proxy")))
    where = Here(values={**SYSCTLS, RESERVED: ""}, netns=space.netns, boot_id="", snapshot=space.snapshot)
    (preview,) = plan({RANGE: "1024 65535"}, where).previews
    assert any("30000-32767" in words for words in preview.warnings)
    (preview,) = plan({RANGE: "1024 65535"}, here()).previews
    assert not any("30000" in words for words in preview.warnings)


def test_what_is_in_time_wait_is_the_effect_of_tw_reuse_in_numbers() -> None:
    key = "net.ipv4.tcp_tw_reuse"
    busy = netns(ports=ports(group(9000, 8752), group(50, 40, destination="127.0.0.1")))
    (preview,) = plan({key: "1"}, here(busy)).previews
    assert preview.effect == (
        "2 (on loopback only) -> 1 (always); 8,752 ports in TIME_WAIT towards 10.0.0.9:5432 can be taken again"
    )
    (preview,) = plan({key: "2"}, here(busy, tcp_tw_reuse="0")).previews
    assert preview.effect.endswith("; 40 ports in TIME_WAIT towards 127.0.0.1:5432 can be taken again")
    (preview,) = plan({key: "0"}, here(busy)).previews
    assert preview.effect == "2 (on loopback only) -> 0 (never)"


def test_ports_in_time_wait_are_no_effect_where_connections_had_no_timestamps() -> None:
    key, stamps = "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_timestamps"
    busy = netns(ports=ports(group(9000, 8752)))
    (preview,) = plan({key: "1"}, here(busy, tcp_timestamps="0")).previews
    assert preview.effect == "2 (on loopback only) -> 1 (always)"
    assert any("without timestamps" in words for words in preview.warnings)
    both = plan({key: "1", stamps: "0"}, here(busy))
    assert len([words for each in both.previews for words in each.warnings]) == 1


def test_two_keys_of_one_pair_do_not_say_the_same_twice() -> None:
    for wanted in (
        {RANGE: "32768 60000", RESERVED: "33000"},
        {MAX: "1048576", BUCKETS: "131072"},
        {"fs.nr_open": "2097152", "fs.file-max": "1100000"},
    ):
        where = here()
        where = dataclasses.replace(
            where, values={"fs.nr_open": "1048576", "fs.file-max": "2000000", **where.values}
        )
        said = [words for each in plan(wanted, where).previews for words in each.warnings]
        assert said, wanted
        assert len(said) == len(set(said)), wanted


@real
def test_the_ports_that_a_wider_range_gives_are_those_that_the_preview_said() -> None:
    said, connected = inside(wider_range)
    assert said == f"95 -> {connected} ports to each destination"


def wider_range() -> tuple[str, int]:
    """In the new range there are 5 listeners, 7 sockets that are bound only and 3 reserved ports."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    write(RANGE, "40000 40099")
    write(RESERVED, "40095-40099,40190-40192")
    target = socket.create_server(("127.0.0.1", 9000), backlog=500)
    held = [socket.create_server(("127.0.0.5", port)) for port in range(40110, 40115)]
    for port in range(40120, 40127):
        held.append(socket.socket())
        held[-1].bind(("127.0.0.6", port))
    argv = [sys.executable, "-m", "sockmon", "tune", "plan", f"{RANGE}=40000 40199", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, env=child_environment(), check=True)
    write(RANGE, "40000 40199")
    clients = []
    with contextlib.suppress(OSError):
        while True:
            clients.append(socket.create_connection(target.getsockname()))
    return json.loads(done.stdout)["previews"][0]["effect"], len(clients)


def test_a_limit_of_the_host_that_binds_before_that_of_a_user_namespace_is_thought_of() -> None:
    host, own = "fs.inotify.max_user_instances", "user.max_inotify_instances"
    for value, binds in (("128", False), ("32", True)):
        where = dataclasses.replace(here(), values={**here().values, host: "128", own: value})
        (preview,) = plan({own: "512"}, where).previews
        assert any(f"{host} = 128 of the host" in words for words in preview.warnings) == binds


def test_one_is_no_plural() -> None:
    (preview,) = plan({RANGE: "32768 60998"}, here(netns(listeners=()))).previews
    assert "1 port fewer than now to each destination" in preview.warnings
    (preview,) = plan({UNPRIVILEGED: "1023"}, here()).previews
    assert preview.effect == "1024 -> 1023: the first port that needs no privilege"
    assert "on port 1023, if it is free" in preview.warnings[0]
    (preview,) = plan({RESERVED: "33000"}, here()).previews
    assert preview.effect.startswith("0 -> 1 port kept back")


def test_what_is_reserved_already_is_no_caution() -> None:
    (preview,) = plan(
        {RANGE: "1024 65535"}, here(netns(listeners=()), ip_local_reserved_ports="8080,40000")
    ).previews
    assert not preview.warnings
    assert f"{RESERVED} keeps 2 of its ports back" in preview.keeps


def test_ports_of_a_source_that_binds_first_are_told_with_the_range() -> None:
    source = BoundSource("10.0.0.8", 1500, 0, 0, 3, 0, 0.0, 1.0, ())
    busy = netns(ports=replace(ports(group(1500)), sources=(source,)))
    (preview,) = plan({RANGE: "1024 65535"}, here(busy)).previews
    assert any("10.0.0.8 binds before it connects" in words and "1,500 ports" in words for words in preview.keeps)


def test_fewer_ports_than_are_in_use_are_warned_of() -> None:
    (preview,) = plan({RANGE: "60000 60999"}, here(netns(ports=ports(group(2000))))).previews
    assert any("2,000 are in use now" in words for words in preview.warnings)


def test_s14_a_range_that_is_reserved_altogether_is_refused() -> None:
    assert "every port" in refused({RANGE: "8000 8010", RESERVED: "8000-8010"}).message
    assert "every port" in refused({RESERVED: "1024-65535"}).message
    assert keys(plan({RANGE: "8000 8010", RESERVED: "8001-8010"}, here()))


@pytest.mark.parametrize(
    ("wanted", "where", "order"),
    [
        ({RANGE: "500 65535", UNPRIVILEGED: "500"}, here(), [UNPRIVILEGED, RANGE]),
        ({UNPRIVILEGED: "40000", RANGE: "40000 65535"}, here(), [RANGE, UNPRIVILEGED]),
        ({RANGE: "40000 50000", RESERVED: ""}, here(ip_local_reserved_ports="33000"), [RANGE, RESERVED]),
        ({MAX: "1048576", BUCKETS: "1048576"}, here(), [BUCKETS, MAX]),
        ({BUCKETS: "65536", MAX: "65536"}, here(), [MAX, BUCKETS]),
        ({f"{GC}{n}": str(n * 4096) for n in (1, 2, 3)}, here(), [f"{GC}{n}" for n in (3, 2, 1)]),
        ({f"{GC}{n}": str(n * 32) for n in (3, 2, 1)}, here(), [f"{GC}{n}" for n in (1, 2, 3)]),
    ],
    ids=["start lower", "start higher", "reserve less", "table larger", "table smaller", "more", "fewer"],
)
def test_s13_what_depends_on_another_is_written_in_its_turn(
    wanted: dict[str, str], where: Here, order: list[str]
) -> None:
    for each in permutations(wanted.items()):
        assert keys(plan(dict(each), where)) == order


def test_s13_a_range_below_the_unprivileged_ports_is_refused_with_the_way_out() -> None:
    error = refused({RANGE: "500 65535"})
    assert "EINVAL" in error.message
    assert f"{UNPRIVILEGED}=500" in error.hint
    assert f"{RANGE}='40000 60999'" in refused({UNPRIVILEGED: "40000"}).hint


def test_s8_thresholds_must_ascend_with_those_that_are_not_changed() -> None:
    assert "less than" in refused({f"{GC}3": "100"}).message
    assert keys(plan({f"{GC}3": "2048"}, here())) == [f"{GC}3"]


def test_s8_less_than_is_in_use_and_more_than_there_is_memory_are_refused() -> None:
    assert "in use now" in refused({"fs.file-max": "1024"}, files()).message
    full = here(netns(conntrack=Conntrack(200_000, 262144, 262144, {})))
    assert "in use now" in refused({MAX: "100000"}, full).message
    assert "memory" in refused({MAX: "200000000"}).message
    assert "memory" in refused({"net.ipv4.udp_mem": "1000 2000 5000000"}).message


def files() -> Here:
    now = here()
    assert now.snapshot
    crowded = replace(now.snapshot, files=Files(5000, 100_000, 1 << 20))
    return Here(values={"fs.file-max": "100000"}, netns=now.netns, boot_id="", snapshot=crowded)


def test_s15_two_names_of_one_number_are_one_wish() -> None:
    assert keys(plan({"net.nf_conntrack_max": "300000", MAX: "300000"}, here())) == [MAX]
    assert "twice" in refused({"net.nf_conntrack_max": "300000", MAX: "400000"}).message
    assert "net.nf_conntrack_max" not in names()
    assert "one number" in refused({"fs.inotify.max_user_watches": "9", "user.max_inotify_watches": "8"}).message


def test_s17_what_the_kernel_would_round_is_caught_and_the_suggestion_fits() -> None:
    with pytest.raises(BadValue, match="multiple of 512"):
        plan({BUCKETS: "300000"}, here())
    (preview,) = plan({MAX: "3000001"}, here()).previews
    (suggested,) = re.findall(rf"{BUCKETS}=([0-9]+)", " ".join(preview.warnings))
    both = plan({MAX: "3000001", BUCKETS: suggested}, here())
    assert not [words for each in both.previews for words in each.warnings]


def test_s1_s24_an_unknown_key_is_refused_with_the_nearest() -> None:
    assert SOMAXCONN in refused({"net.core.somaxcon": "1"}).hint
    for key in ("net/../../etc/passwd", "net.core.somaxconn\nx", "", "..", "/etc/passwd", "net.core.somaxconn\0"):
        error = refused({key: "1"})
        assert "\n" not in error.message
    assert keys(plan({"net/core/somaxconn": "8192"}, here())) == [SOMAXCONN]


def test_s2_what_is_a_count_or_gone_is_not_offered() -> None:
    for key in ("fs.file-nr", "net.netfilter.nf_conntrack_count", "net.ipv4.tcp_tw_recycle"):
        assert "cannot be set" in refused({key: "1"}).message
        assert key not in names()


def test_the_same_value_is_nothing_to_do() -> None:
    found = plan({SOMAXCONN: "4096", RANGE: "32768\t60999"}, here())
    assert found.already == (SOMAXCONN, RANGE)
    assert not found.plan.settings
    assert not found.commands


def test_nothing_can_be_changed_in_a_recording() -> None:
    assert "a recording" in refused({SOMAXCONN: "9"}, seen(snapshot(), fixed="this is a recording")).message


def test_an_empty_list_is_written_as_a_line_feed_and_a_long_one_not_by_sysctl() -> None:
    found = plan({RESERVED: ""}, here(ip_local_reserved_ports="8080"))
    assert found.commands == (f"echo > /proc/sys/{RESERVED.replace('.', '/')}",)
    long = ",".join(map(str, range(1, 65535, 2)))
    assert plan({RESERVED: long}, here()).commands[0].startswith("#")


def test_advice_comes_from_alarms_alone() -> None:
    row = BY_KEY[RANGE]
    healthy = Assessor().add(snapshot()).report
    assert advice(healthy, row) is None
    full = netns(ports=ports(group(28232)))
    found = advice(Assessor().add(snapshot(netns=(full,))).report, row)
    assert found
    assert found.value == "1024 65535"
    assert "28,232 of 28,232" in found.reason
    reading = replace(healthy.readings[0], severity="hit", remedies=(Remedy("sysctl", RANGE, "1\n2", "forged"),))
    assert advice(replace(healthy, readings=(reading,)), row) is None


def test_what_a_plan_would_refuse_is_not_advised() -> None:
    full = snapshot(memory=Memory(2_000_000, 0, 0, 9, (1_000_000, 1_500_000, 2_000_000), 4096))
    report = Assessor().add(full).report
    where = here()
    where = dataclasses.replace(where, values={**where.values, "net.ipv4.tcp_mem": "1000000 1500000 2000000"})
    (row,) = listing.rows(["net.ipv4.tcp_mem"], where, report)
    assert (row.advised, row.reason) == (None, "")
    (row,) = listing.rows(["net.ipv4.tcp_mem"], dataclasses.replace(where, memory=96 << 30), report)
    assert row.advised == "2000000 3000000 4000000"


def test_what_the_alarms_of_recorded_labs_advise_can_be_written() -> None:
    advised = {}
    for recording in sorted(RECORDINGS.glob("*.jsonl")):
        report = replayed(str(recording))
        for reading in report.readings:
            for remedy in reading.remedies if reading.severity in ("warning", "critical", "hit") else ():
                if remedy.kind == "sysctl" and remedy.key and remedy.value:
                    row = BY_KEY[remedy.key]
                    assert row.settable
                    advised[remedy.key] = parse(row, remedy.value, remedy.key)
                    assert advice(report, row, remedy.key)
    assert len(advised) > 5


@real
def test_s13_the_kernel_takes_the_planned_order_and_the_way_back() -> None:
    assert inside(written_in_order) == "500 65535"


def written_in_order() -> str:
    before = look([RANGE, UNPRIVILEGED])
    # The other order is refused, which is why there is one.
    with pytest.raises(OSError, match="Invalid argument"):
        write(RANGE, "500 65535")
    settings = plan({RANGE: "500 65535", UNPRIVILEGED: "500"}, before).plan.settings
    for setting in settings:
        write(setting.key, setting.new)
    there = look([RANGE]).values[RANGE]
    for setting in reversed(settings):
        write(setting.key, setting.old)
    assert look([RANGE, UNPRIVILEGED]).values == before.values
    return there


def write(key: str, value: str) -> None:
    with open(f"/proc/sys/{key.replace('.', '/')}", "w") as file:
        file.write(f"{value}\n")


@real
def test_s14_the_kernel_takes_a_range_that_is_reserved_and_no_connect_gets_a_port() -> None:
    assert inside(connect_with_all_reserved) == errno.EADDRNOTAVAIL


def connect_with_all_reserved() -> int:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    write(RESERVED, "8000-8010")
    write(RANGE, "8000 8010")
    with socket.create_server(("127.0.0.1", 9000)) as server, socket.socket() as client:
        return client.connect_ex(server.getsockname())


@real
def test_every_key_of_a_namespace_takes_its_own_value_back_and_the_bounds_of_its_row() -> None:
    assert inside(bounds_inside) == []


def bounds_inside() -> list[str]:
    """Keys whose own value cannot be written back, or whose least or greatest value the kernel refuses."""
    failed = []
    space = look(names())
    for key in names():
        row = BY_KEY[key]
        if not key.startswith("net.") or key in space.refused or key == UNPRIVILEGED:
            continue
        tries = [str(row.least), str(row.most)] if row.kind == "number" else list(map(str, row.allowed))
        for value in (*tries, space.values[key]):
            try:
                write(key, value)
                assert look([key]).values[key] == value
            except (OSError, AssertionError) as error:
                failed.append(f"{key} = {value}: {error}")
    return failed


@real
def test_tune_plan_list_and_show_need_no_privilege_and_change_nothing() -> None:
    before, listed, shown, planned, bad = inside(verbs)
    assert listed["schema"] == shown["schema"] == planned["schema"] == 1
    rows = {row["key"]: row for row in listed["tunables"]}
    assert rows[RANGE]["current"] == shown["current"] == before
    assert rows["net.ipv4.tcp_mem"]["refused"]
    assert planned["previews"][0]["effect"] == "28,232 -> 64,512 ports to each destination"
    assert planned["plan"]["settings"][0] == {
        "key": RANGE,
        "old": before,
        "new": "1024 65535",
        "pid": 0,
        "start": 0,
    }
    assert bad[0] == 1
    assert "begins with 0" in bad[1]
    assert "allowed: 1 to 1,048,576" in bad[1]


def verbs() -> tuple[str, Any, Any, Any, tuple[int, str]]:
    bad = sockmon("plan", f"{SOMAXCONN}=010")
    answers = [
        json.loads(sockmon(*words, "--json").stdout)
        for words in (("list",), ("show", RANGE), ("plan", f"{RANGE}=1024 65535"))
    ]
    return (look([RANGE]).values[RANGE], *answers, (bad.returncode, bad.stderr))


def sockmon(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sockmon", "tune", *words],
        capture_output=True, text=True, check=False, timeout=60, env=child_environment(),
    )  # fmt: skip
