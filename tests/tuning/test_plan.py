"""Plans: what is refused, the order of the writes, and that the preview is right.

Facts about the kernel are tested on the kernel, in a private namespace.
"""

from __future__ import annotations

import contextlib
import dataclasses
import errno
import json
import socket
import subprocess
import sys
from collections.abc import Mapping
from itertools import permutations
from typing import Any

import pytest
from msgspec.structs import replace

from sockmon.assess import Assessor
from sockmon.errors import InvalidValue, Misuse, PlanRejected, SockmonError
from sockmon.model.plan import Proposal
from sockmon.model.report import Remedy
from sockmon.model.snapshot import BoundSource, Conntrack, Files, Memory, Netns
from sockmon.observe import report_of_recording
from sockmon.tunables import BY_KEY, TUNABLES
from sockmon.tunables.value import parse
from sockmon.tuning.helper.sysctl_reader import read_settings
from sockmon.tuning.planning import catalog
from sockmon.tuning.planning.advice import advice_for
from sockmon.tuning.planning.context import (
    PORT_RANGE,
    RESERVED_PORTS,
    UNPRIVILEGED_START,
    PlanContext,
    from_snapshot,
)
from sockmon.tuning.planning.plan import make_plan, settable_sysctls
from sockmon.tuning.planning.proposal_pages import as_json
from tests.netns import ROOT, child_environment, inside, refusal
from tests.snapshots import SYSCTLS, group, netns, ports, process, snapshot
from tests.tuning.sample_change import texts

real = pytest.mark.skipif(refusal() is not None, reason=f"no private namespaces here: {refusal()}")
MAX, BUCKETS = "net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_buckets"
SOMAXCONN = "net.core.somaxconn"
RECORDINGS = ROOT / "sockmon" / "labs" / "recordings"
GC = "net.ipv4.neigh.default.gc_thresh"


def here(space: Netns | None = None, memory: int = 24 << 30, **values: str) -> PlanContext:
    """A healthy invented host, with other values by the last part of their key."""
    now = from_snapshot(snapshot(netns=(space or netns(),)))
    written = {key: value for name, value in values.items() for key in BY_KEY if key.endswith("." + name)}
    extra = {RESERVED_PORTS: "", MAX: "262144", BUCKETS: "262144"}
    return PlanContext(
        values={**extra, **now.values, **written},
        netns_inode=now.netns_inode,
        boot_id=now.boot_id,
        snapshot=now.snapshot,
        memory=memory,
    )


def refused(wanted: Mapping[str, str], where: PlanContext | None = None) -> SockmonError:
    with pytest.raises((PlanRejected, Misuse)) as caught:
        make_plan(wanted, where or here())
    return caught.value


def keys(proposal: Proposal) -> list[str]:
    return [setting.key for setting in proposal.plan.settings]


def test_the_preview_says_old_and_new_in_numbers() -> None:
    found = make_plan({PORT_RANGE: "1024 65535", SOMAXCONN: "8192"}, here(netns(listeners=())))
    by_key = {preview.setting.key: preview for preview in found.previews}
    assert by_key[PORT_RANGE].effect == "28,232 → 64,512 ports to each destination"
    assert "at once" in by_key[PORT_RANGE].takes_effect
    assert not by_key[PORT_RANGE].warnings
    assert "4,096 → 8,192" in by_key[SOMAXCONN].effect
    assert found.commands == (f"sysctl -w {PORT_RANGE}='1024 65535'", f"sysctl -w {SOMAXCONN}=8192")
    assert found.rollback_commands == (f"sysctl -w {SOMAXCONN}=4096", f"sysctl -w {PORT_RANGE}='32768 60999'")


@pytest.mark.fault("S22")
def test_s22_listeners_that_keep_their_backlog_are_named() -> None:
    (preview,) = make_plan({SOMAXCONN: "8192"}, here()).previews
    assert any("0.0.0.0:8080 nginx[1044] keeps its backlog of 128" in words for words in preview.unaffected)


def test_the_json_of_a_plan_has_its_warnings_as_text_and_what_they_suggest_by_key() -> None:
    found = make_plan({PORT_RANGE: "1024 65535"}, here())
    (preview,) = json.loads(as_json(found))["previews"]
    assert preview["warnings"] == texts(found.previews[0])
    assert preview["suggests"] == {RESERVED_PORTS: "8080"}


@pytest.mark.fault("S23")
def test_s23_every_preview_says_what_stays() -> None:
    for row in TUNABLES:
        assert not row.settable or row.unaffected, row.key


def test_a_listener_inside_the_new_range_is_named_and_how_to_keep_its_port() -> None:
    (preview,) = make_plan({PORT_RANGE: "1024 65535"}, here()).previews
    assert preview.effect.endswith("→ 64,511 ports to each destination")
    (warning,) = (each for each in preview.warnings if each.suggests)
    assert warning.suggests == (RESERVED_PORTS, "8080")
    assert "nginx[1044]" in warning.text
    both = make_plan({PORT_RANGE: "1024 65535", RESERVED_PORTS: "8080"}, here())
    assert keys(both) == [RESERVED_PORTS, PORT_RANGE], "reserved before the range reaches it"
    assert not any("nginx" in words for preview in both.previews for words in texts(preview))


def test_node_ports_are_warned_of_if_kubernetes_runs() -> None:
    space = from_snapshot(snapshot(0.0, process(name="kube-proxy")))
    where = PlanContext(
        values={**SYSCTLS, RESERVED_PORTS: ""}, netns_inode=space.netns_inode, boot_id="", snapshot=space.snapshot
    )
    (preview,) = make_plan({PORT_RANGE: "1024 65535"}, where).previews
    suggested = {each.suggests for each in preview.warnings if each.suggests}
    assert suggested == {(RESERVED_PORTS, "8080,30000-32767")}, "one value for the listener and the NodePorts"
    (preview,) = make_plan({PORT_RANGE: "1024 65535"}, here()).previews
    assert not any("30000" in words for words in texts(preview))


def test_what_is_in_time_wait_is_the_effect_of_tw_reuse_in_numbers() -> None:
    key = "net.ipv4.tcp_tw_reuse"
    busy = netns(ports=ports(group(9000, 8752), group(50, 40, destination="127.0.0.1")))
    (preview,) = make_plan({key: "1"}, here(busy)).previews
    assert preview.effect == (
        "2 (on loopback only) → 1 (always); 8,752 ports in TIME_WAIT to 10.0.0.9:5432 can be reused,"
        " if the peer had TCP timestamps too"
    )
    (preview,) = make_plan({key: "2"}, here(busy, tcp_tw_reuse="0")).previews
    assert preview.effect.endswith("; 40 ports in TIME_WAIT to 127.0.0.1:5432 can be reused")
    (preview,) = make_plan({key: "0"}, here(busy)).previews
    assert preview.effect == "2 (on loopback only) → 0 (never)"
    assert not preview.warnings


def test_tw_reuse_warns_of_peers_without_timestamps_and_of_sockets_that_are_bound_first() -> None:
    key = "net.ipv4.tcp_tw_reuse"
    found = ports(group(9000, 8752))
    (preview,) = make_plan({key: "1"}, here(netns(ports=found))).previews
    assert len(preview.warnings) == 1
    source = BoundSource("10.0.0.5", 9000, 0, 8752, 1, 0, 0.0, 1.0, ())
    (preview,) = make_plan({key: "1"}, here(netns(ports=replace(found, sources=(source,))))).previews
    assert len(preview.warnings) == 2
    assert preview.effect == "2 (on loopback only) → 1 (always)", "no port of a bound socket is reused"
    (preview,) = make_plan({key: "2"}, here(netns(ports=found), tcp_tw_reuse="0")).previews
    assert not preview.warnings, "on loopback both ends have the timestamps of the namespace"


def test_ports_in_time_wait_are_no_effect_where_connections_had_no_timestamps() -> None:
    key, stamps = "net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_timestamps"
    busy = netns(ports=ports(group(9000, 8752)))
    (preview,) = make_plan({key: "1"}, here(busy, tcp_timestamps="0")).previews
    assert preview.effect == "2 (on loopback only) → 1 (always)"
    assert any("without timestamps" in words for words in texts(preview))
    both = make_plan({key: "1", stamps: "0"}, here(busy))
    assert len([words for each in both.previews for words in texts(each)]) == 1


def test_two_keys_of_one_pair_do_not_say_the_same_twice() -> None:
    for wanted in (
        {PORT_RANGE: "32768 60000", RESERVED_PORTS: "33000"},
        {MAX: "1048576", BUCKETS: "131072"},
        {"fs.nr_open": "2097152", "fs.file-max": "1100000"},
    ):
        where = here()
        where = dataclasses.replace(
            where, values={"fs.nr_open": "1048576", "fs.file-max": "2000000", **where.values}
        )
        said = [words for each in make_plan(wanted, where).previews for words in texts(each)]
        assert said, wanted
        assert len(said) == len(set(said)), wanted


@real
def test_the_ports_that_a_wider_range_gives_are_those_that_the_preview_said() -> None:
    said, connected = inside(wider_range)
    assert said == f"95 → {connected} ports to each destination"


def wider_range() -> tuple[str, int]:
    """In the new range there are 5 listeners, 7 sockets that are bound only and 3 reserved ports."""
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    write(PORT_RANGE, "40000 40099")
    write(RESERVED_PORTS, "40095-40099,40190-40192")
    target = socket.create_server(("127.0.0.1", 9000), backlog=500)
    held = [socket.create_server(("127.0.0.5", port)) for port in range(40110, 40115)]
    for port in range(40120, 40127):
        held.append(socket.socket())
        held[-1].bind(("127.0.0.6", port))
    argv = [sys.executable, "-m", "sockmon", "tune", "plan", f"{PORT_RANGE}=40000 40199", "--json"]
    done = subprocess.run(argv, capture_output=True, text=True, env=child_environment(), check=True)
    write(PORT_RANGE, "40000 40199")
    clients = []
    with contextlib.suppress(OSError):
        while True:
            clients.append(socket.create_connection(target.getsockname()))
    return json.loads(done.stdout)["previews"][0]["effect"], len(clients)


def test_a_lower_limit_of_the_host_is_warned_of_in_a_user_namespace() -> None:
    host, own = "fs.inotify.max_user_instances", "user.max_inotify_instances"
    for value, binds in (("128", False), ("32", True)):
        where = dataclasses.replace(here(), values={**here().values, host: "128", own: value})
        (preview,) = make_plan({own: "512"}, where).previews
        assert any(f"{host} = 128 of the host" in words for words in texts(preview)) == binds


def test_one_is_no_plural() -> None:
    (preview,) = make_plan({PORT_RANGE: "32768 60998"}, here(netns(listeners=()))).previews
    assert "1 port fewer than now to each destination" in texts(preview)
    (preview,) = make_plan({UNPRIVILEGED_START: "1023"}, here()).previews
    assert preview.effect == "1024 → 1023: the first port that needs no privilege"
    assert "on port 1023 if it is free" in preview.warnings[0].text
    (preview,) = make_plan({RESERVED_PORTS: "33000"}, here()).previews
    assert preview.effect.startswith("0 → 1 reserved port")


def test_ports_that_are_reserved_already_are_not_warned_of() -> None:
    (preview,) = make_plan(
        {PORT_RANGE: "1024 65535"}, here(netns(listeners=()), ip_local_reserved_ports="8080,40000")
    ).previews
    assert not preview.warnings
    assert f"{RESERVED_PORTS} still reserves 2 ports of the range" in preview.unaffected


def test_ports_of_a_source_that_binds_first_are_shown_with_the_range() -> None:
    source = BoundSource("10.0.0.8", 1500, 0, 0, 3, 0, 0.0, 1.0, ())
    busy = netns(ports=replace(ports(group(1500)), sources=(source,)))
    (preview,) = make_plan({PORT_RANGE: "1024 65535"}, here(busy)).previews
    assert any(
        "10.0.0.8 binds before it connects" in words and "1,500 ports" in words for words in preview.unaffected
    )


def test_fewer_ports_than_are_in_use_are_warned_of() -> None:
    (preview,) = make_plan({PORT_RANGE: "60000 60999"}, here(netns(ports=ports(group(2000))))).previews
    assert any("2,000 ports are in use to one destination now" in words for words in texts(preview))


@pytest.mark.fault("S14")
def test_s14_a_range_that_is_reserved_altogether_is_refused() -> None:
    assert "every port" in refused({PORT_RANGE: "8000 8010", RESERVED_PORTS: "8000-8010"}).message
    assert "every port" in refused({RESERVED_PORTS: "1024-65535"}).message
    assert keys(make_plan({PORT_RANGE: "8000 8010", RESERVED_PORTS: "8001-8010"}, here()))


@pytest.mark.fault("S13")
@pytest.mark.parametrize(
    ("wanted", "where", "order"),
    [
        (
            {PORT_RANGE: "500 65535", UNPRIVILEGED_START: "500"},
            here(),
            [UNPRIVILEGED_START, PORT_RANGE],
        ),
        (
            {UNPRIVILEGED_START: "40000", PORT_RANGE: "40000 65535"},
            here(),
            [PORT_RANGE, UNPRIVILEGED_START],
        ),
        (
            {PORT_RANGE: "40000 50000", RESERVED_PORTS: ""},
            here(ip_local_reserved_ports="33000"),
            [PORT_RANGE, RESERVED_PORTS],
        ),
        ({MAX: "1048576", BUCKETS: "1048576"}, here(), [BUCKETS, MAX]),
        ({BUCKETS: "65536", MAX: "65536"}, here(), [MAX, BUCKETS]),
        ({f"{GC}{n}": str(n * 4096) for n in (1, 2, 3)}, here(), [f"{GC}{n}" for n in (3, 2, 1)]),
        ({f"{GC}{n}": str(n * 32) for n in (3, 2, 1)}, here(), [f"{GC}{n}" for n in (1, 2, 3)]),
    ],
    ids=["start lower", "start higher", "reserve less", "table larger", "table smaller", "more", "fewer"],
)
def test_s13_what_depends_on_another_is_written_in_its_turn(
    wanted: dict[str, str], where: PlanContext, order: list[str]
) -> None:
    for each in permutations(wanted.items()):
        assert keys(make_plan(dict(each), where)) == order


@pytest.mark.fault("S13")
def test_s13_a_range_below_the_unprivileged_ports_is_refused_with_the_way_out() -> None:
    error = refused({PORT_RANGE: "500 65535"})
    assert "EINVAL" in error.message
    assert f"{UNPRIVILEGED_START}=500" in error.hint
    assert f"{PORT_RANGE}='40000 60999'" in refused({UNPRIVILEGED_START: "40000"}).hint


@pytest.mark.fault("S8")
def test_s8_thresholds_must_ascend_with_those_that_are_not_changed() -> None:
    assert "less than" in refused({f"{GC}3": "100"}).message
    assert keys(make_plan({f"{GC}3": "2048"}, here())) == [f"{GC}3"]


@pytest.mark.fault("S8")
def test_s8_less_than_is_in_use_and_more_than_there_is_memory_are_refused() -> None:
    assert "in use now" in refused({"fs.file-max": "1024"}, files()).message
    full = here(netns(conntrack=Conntrack(200_000, 262144, 262144, {})))
    assert "in use now" in refused({MAX: "100000"}, full).message
    assert "memory" in refused({MAX: "200000000"}).message
    assert "memory" in refused({"net.ipv4.udp_mem": "1000 2000 5000000"}).message


def files() -> PlanContext:
    now = here()
    assert now.snapshot
    crowded = replace(now.snapshot, files=Files(5000, 100_000, 1 << 20))
    return PlanContext(values={"fs.file-max": "100000"}, netns_inode=now.netns_inode, boot_id="", snapshot=crowded)


@pytest.mark.fault("S15")
def test_s15_two_names_of_one_number_are_one_wish() -> None:
    assert keys(make_plan({"net.nf_conntrack_max": "300000", MAX: "300000"}, here())) == [MAX]
    assert "twice" in refused({"net.nf_conntrack_max": "300000", MAX: "400000"}).message
    assert "net.nf_conntrack_max" not in settable_sysctls()
    assert "one number" in refused({"fs.inotify.max_user_watches": "9", "user.max_inotify_watches": "8"}).message


@pytest.mark.fault("S17")
def test_s17_what_the_kernel_would_round_is_caught_and_the_suggestion_fits() -> None:
    with pytest.raises(InvalidValue, match="multiple of 512"):
        make_plan({BUCKETS: "300000"}, here())
    (preview,) = make_plan({MAX: "3000001"}, here()).previews
    (warning,) = preview.warnings
    assert warning.suggests
    key, enough = warning.suggests
    assert key == BUCKETS
    both = make_plan({MAX: "3000001", BUCKETS: enough}, here())
    assert not [words for each in both.previews for words in texts(each)]


@pytest.mark.fault("S1", "S24")
def test_s1_s24_an_unknown_key_is_refused_with_the_nearest() -> None:
    assert SOMAXCONN in refused({"net.core.somaxcon": "1"}).hint
    for key in ("net/../../etc/passwd", "net.core.somaxconn\nx", "", "..", "/etc/passwd", "net.core.somaxconn\0"):
        error = refused({key: "1"})
        assert "\n" not in error.message
    assert keys(make_plan({"net/core/somaxconn": "8192"}, here())) == [SOMAXCONN]


@pytest.mark.fault("S2")
def test_s2_what_is_a_count_or_gone_is_not_offered() -> None:
    for key in ("fs.file-nr", "net.netfilter.nf_conntrack_count", "net.ipv4.tcp_tw_recycle"):
        assert "cannot be set" in refused({key: "1"}).message
        assert key not in settable_sysctls()


def test_few_retransmissions_are_warned_of_with_the_seconds_that_they_last() -> None:
    retries = "net.ipv4.tcp_retries2"
    (few,) = make_plan({retries: "3"}, here(tcp_retries2="15")).previews
    assert "silent for 3.0 s" in " ".join(texts(few))
    (enough,) = make_plan({retries: "8"}, here(tcp_retries2="15")).previews
    assert not texts(enough)


def test_the_same_value_is_nothing_to_do() -> None:
    found = make_plan({SOMAXCONN: "4096", PORT_RANGE: "32768\t60999"}, here())
    assert found.already == (SOMAXCONN, PORT_RANGE)
    assert not found.plan.settings
    assert not found.commands


def test_nothing_can_be_changed_in_a_recording() -> None:
    assert (
        "a recording"
        in refused({SOMAXCONN: "9"}, from_snapshot(snapshot(), read_only_reason="this is a recording")).message
    )


def test_an_empty_list_is_written_as_a_line_feed_and_a_long_one_not_by_sysctl() -> None:
    found = make_plan({RESERVED_PORTS: ""}, here(ip_local_reserved_ports="8080"))
    assert found.commands == (f"echo > /proc/sys/{RESERVED_PORTS.replace('.', '/')}",)
    long = ",".join(map(str, range(1, 65535, 2)))
    assert make_plan({RESERVED_PORTS: long}, here()).commands[0].startswith("#")


def test_advice_comes_from_alarms_alone() -> None:
    row = BY_KEY[PORT_RANGE]
    healthy = Assessor().add(snapshot()).report
    assert advice_for(healthy, row) is None
    full = netns(ports=ports(group(28232)))
    found = advice_for(Assessor().add(snapshot(netns=(full,))).report, row)
    assert found
    assert found.value == "1024 65535"
    assert "28,232 of 28,232" in found.reason
    reading = replace(
        healthy.readings[0], severity="hit", remedies=(Remedy("sysctl", PORT_RANGE, "1\n2", "forged"),)
    )
    assert advice_for(replace(healthy, readings=(reading,)), row) is None


def test_what_a_plan_would_refuse_is_not_advised() -> None:
    full = snapshot(memory=Memory(2_000_000, 0, 0, 9, (1_000_000, 1_500_000, 2_000_000), 4096))
    report = Assessor().add(full).report
    where = here()
    where = dataclasses.replace(where, values={**where.values, "net.ipv4.tcp_mem": "1000000 1500000 2000000"})
    (row,) = catalog.rows(["net.ipv4.tcp_mem"], where, report)
    assert (row.advised, row.reason) == (None, "")
    (row,) = catalog.rows(["net.ipv4.tcp_mem"], dataclasses.replace(where, memory=96 << 30), report)
    assert row.advised == "2000000 3000000 4000000"


def test_what_the_alarms_of_recorded_labs_advise_can_be_written() -> None:
    advised = {}
    for recording in sorted(RECORDINGS.glob("*.jsonl")):
        report = report_of_recording(str(recording))
        for reading in report.readings:
            for remedy in reading.remedies if reading.severity in ("warning", "critical", "hit") else ():
                if remedy.kind == "sysctl" and remedy.key and remedy.value:
                    row = BY_KEY[remedy.key]
                    assert row.settable
                    advised[remedy.key] = parse(row, remedy.value, remedy.key)
                    assert advice_for(report, row, remedy.key)
    assert len(advised) > 5


@pytest.mark.fault("S13")
@real
def test_s13_the_kernel_takes_the_planned_order_and_the_way_back() -> None:
    assert inside(written_in_order) == "500 65535"


def written_in_order() -> str:
    before = read_settings([PORT_RANGE, UNPRIVILEGED_START])
    # The other order is refused, which is why there is one.
    with pytest.raises(OSError, match="Invalid argument"):
        write(PORT_RANGE, "500 65535")
    settings = make_plan(
        {PORT_RANGE: "500 65535", UNPRIVILEGED_START: "500"}, PlanContext.of(before)
    ).plan.settings
    for setting in settings:
        write(setting.key, setting.new)
    there = read_settings([PORT_RANGE]).values[PORT_RANGE]
    for setting in reversed(settings):
        write(setting.key, setting.old)
    assert read_settings([PORT_RANGE, UNPRIVILEGED_START]).values == before.values
    return there


def write(key: str, value: str) -> None:
    with open(f"/proc/sys/{key.replace('.', '/')}", "w") as file:
        file.write(f"{value}\n")


@pytest.mark.fault("S14")
@real
def test_s14_the_kernel_takes_a_range_that_is_reserved_and_no_connect_gets_a_port() -> None:
    assert inside(connect_with_all_reserved) == errno.EADDRNOTAVAIL


def connect_with_all_reserved() -> int:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    write(RESERVED_PORTS, "8000-8010")
    write(PORT_RANGE, "8000 8010")
    with socket.create_server(("127.0.0.1", 9000)) as server, socket.socket() as client:
        return client.connect_ex(server.getsockname())


@real
def test_every_key_of_a_namespace_takes_its_own_value_back_and_the_bounds_of_its_row() -> None:
    assert inside(bounds_inside) == []


def bounds_inside() -> list[str]:
    """Keys whose own value cannot be written back, or whose least or greatest value the kernel refuses."""
    failed = []
    space = read_settings(settable_sysctls())
    for key in settable_sysctls():
        row = BY_KEY[key]
        if not key.startswith("net.") or key in space.refused or key == UNPRIVILEGED_START:
            continue
        tries = list(map(str, row.allowed))
        if row.kind in ("number", "numbers"):
            tries = [
                " ".join([bound] * max(len(row.field_names), 1)) for bound in (f"{row.minimum}", f"{row.maximum}")
            ]
        for value in (*tries, space.values[key]):
            try:
                write(key, value)
                assert read_settings([key]).values[key] == value
            except (OSError, AssertionError) as error:
                failed.append(f"{key} = {value}: {error}")
    return failed


@real
def test_tune_plan_list_and_show_need_no_privilege_and_change_nothing() -> None:
    before, listed, shown, planned, bad = inside(verbs)
    assert listed["schema"] == shown["schema"] == planned["schema"] == 1
    rows = {row["key"]: row for row in listed["tunables"]}
    assert rows[PORT_RANGE]["current"] == shown["current"] == before
    assert rows["net.ipv4.tcp_mem"]["refused"]
    assert planned["previews"][0]["effect"] == "28,232 → 64,512 ports to each destination"
    assert planned["plan"]["settings"][0] == {
        "key": PORT_RANGE,
        "old": before,
        "new": "1024 65535",
        "pid": 0,
        "start": 0,
        "cgroup": "",
    }
    assert bad[0] == 64
    assert "begins with 0" in bad[1]
    assert "allowed: 1 to 1,048,576" in bad[1]


def verbs() -> tuple[str, Any, Any, Any, tuple[int, str]]:
    bad = sockmon("plan", f"{SOMAXCONN}=010")
    answers = [
        json.loads(sockmon(*words, "--json").stdout)
        for words in (("list",), ("show", PORT_RANGE), ("plan", f"{PORT_RANGE}=1024 65535"))
    ]
    return (read_settings([PORT_RANGE]).values[PORT_RANGE], *answers, (bad.returncode, bad.stderr))


def sockmon(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "sockmon", "tune", *words],
        capture_output=True, text=True, check=False, timeout=60, env=child_environment(),
    )  # fmt: skip
