"""If a limit is not the cause, raising it is offered with the reason against it, and nothing plans it unasked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from msgspec.structs import replace

from sockmon.assess import Assessor
from sockmon.cli import check
from sockmon.labs import find_lab
from sockmon.model.report import Reading, Report
from sockmon.model.snapshot import DatagramQueue, Memory, Netns, Owner, PortGroup, Process, Snapshot, Softnet
from sockmon.sandbox.session import python_command, run_lab
from sockmon.tunables import row_of
from sockmon.tuning.planning import catalog
from sockmon.tuning.planning.advice import BUYS_TIME, advice_for, advised_remedies, alternatives, settable_remedies
from sockmon.tuning.planning.context import from_snapshot
from sockmon.tuning.planning.plan import make_plan
from tests.snapshots import SYSCTLS, listener, netns, ports, process, snapshot
from tests.tuning.sample_change import texts

SOMAXCONN = "net.core.somaxconn"
RANGE = "net.ipv4.ip_local_port_range"
QLEN = "net.unix.max_dgram_qlen"


def judged(*snapshots: Snapshot) -> Report:
    assessor = Assessor()
    return [assessor.add(each) for each in snapshots][-1].report


def reading(report: Report, ceiling: str) -> Reading:
    return next(each for each in report.readings if each.ceiling == ceiling)


def both(report: Report, ceiling: str) -> tuple[list[str], list[str]]:
    """Keys that its worst reading could raise, and those of them that it advises to."""
    found = reading(report, ceiling)
    assert found.severity in ("warning", "critical", "hit")
    return [each.key for each in settable_remedies(found)], [each.key for each in advised_remedies(found)]


LEAK = judged(snapshot(0.0, process(fds=1024, close_wait=900)))
BUSY = judged(snapshot(0.0, process(fds=1024, close_wait=3)))


def test_a_leak_of_descriptors_is_not_answered_with_a_higher_limit() -> None:
    assert both(LEAK, "process-fds") == (["nofile@1044"], [])
    assert both(BUSY, "process-fds") == (["nofile@1044"], ["nofile@1044"])


def test_a_leak_is_not_answered_with_a_higher_nr_open_either() -> None:
    def at_nr_open(close_wait: int) -> Report:
        now = snapshot(0.0, process(fds=1024, soft=4096, close_wait=close_wait))
        assert now.files
        return judged(replace(now, files=replace(now.files, nr_open=1024)))

    assert both(at_nr_open(900), "process-fds") == (["fs.nr_open"], [])
    assert both(at_nr_open(3), "process-fds") == (["fs.nr_open"], ["fs.nr_open"])


def test_one_process_that_leaks_most_of_the_hosts_files_is_not_answered_with_a_higher_file_max() -> None:
    def host(close_wait: int) -> Report:
        now = snapshot(0.0, process(fds=900, soft=100_000, close_wait=close_wait))
        assert now.files
        return judged(replace(now, files=replace(now.files, allocated=1000, maximum=1024)))

    leaking = host(800)
    assert both(leaking, "system-fds") == (["fs.file-max"], [])
    assert "no higher limit fixes a leak" in reading(leaking, "system-fds").remedies[0].text
    assert both(host(3), "system-fds") == (["fs.file-max"], ["fs.file-max"])


@pytest.mark.parametrize(("accepted", "wanted"), [(0, []), (40, [SOMAXCONN])])
def test_a_queue_that_nothing_is_accepted_from_is_not_answered_with_a_longer_one(
    accepted: int, wanted: list[str]
) -> None:
    def look(at: float, opens: int, overflows: int) -> Snapshot:
        counters = {"TcpExt.ListenOverflows": overflows, "Tcp.PassiveOpens": opens}
        full = listener(queue=4097, backlog=4096)
        return snapshot(at, netns=(netns(listeners=(full,), counters=counters),))

    report = judged(look(0.0, 700, 5), look(1.0, 700 + accepted, 90))
    assert both(report, "accept-queue") == ([SOMAXCONN], wanted)


def test_with_syncookies_off_the_answer_is_to_turn_them_on() -> None:
    sysctls = {**SYSCTLS, "net.ipv4.tcp_syncookies": "0", "net.ipv4.tcp_max_syn_backlog": "256"}

    def look(at: float, dropped: int) -> Snapshot:
        counters = {"TcpExt.TCPReqQFullDrop": dropped, "TcpExt.ListenDrops": dropped, "TcpExt.ListenOverflows": 0}
        return snapshot(
            at, netns=(netns(sysctls=sysctls, counters=counters, listeners=(listener(backlog=4096),)),)
        )

    report = judged(look(0.0, 0), look(1.0, 50))
    assert both(report, "syn-queue")[1] in ([], ["net.ipv4.tcp_syncookies"])
    assert "net.ipv4.tcp_max_syn_backlog" not in {
        each.key for found in report.readings for each in advised_remedies(found)
    }


@pytest.mark.parametrize(("waiting", "wanted"), [(11, []), (10, [QLEN])])
def test_a_reader_that_is_stuck_is_not_answered_with_a_longer_queue(waiting: int, wanted: list[str]) -> None:
    def space(at: float) -> tuple[Netns, ...]:
        queue = DatagramQueue("/dev/log", 9, waiting, 3, Owner(12, 5, "rsyslogd", 1), at=at)
        return (netns(datagrams=(queue,)),)

    report = judged(*(snapshot(float(at), netns=space(float(at))) for at in range(3)))
    assert both(report, "unix-dgram-queue") == ([QLEN], wanted)


@pytest.mark.parametrize(("squeezed", "wanted"), [(500, []), (0, ["net.core.netdev_max_backlog"])])
def test_a_processor_that_is_busy_all_the_time_is_not_answered_with_longer_queues(
    squeezed: int, wanted: list[str]
) -> None:
    looks = [snapshot(float(at), softnet=Softnet(100 * at, squeezed * at, 990, 0)) for at in range(3)]
    assert both(judged(*looks), "softnet-backlog")[1] == wanted


@pytest.mark.parametrize(("pages", "wanted"), [(1400, False), (100, True)])
def test_orphans_are_not_given_memory_that_tcp_is_short_of(pages: int, wanted: bool) -> None:
    memory = Memory(pages, 2, 3000, 9, (1000, 1333, 2000), 4096)
    found = both(judged(snapshot(0.0, memory=memory)), "tcp-orphans")
    assert "net.ipv4.tcp_max_orphans" in found[0]
    assert ("net.ipv4.tcp_max_orphans" in found[1]) == wanted


@pytest.mark.parametrize(("close_wait", "wanted"), [(28_000, []), (2, [RANGE])])
def test_ports_that_a_client_forgot_to_close_are_not_answered_with_a_wider_range(
    close_wait: int, wanted: list[str]
) -> None:
    owner = Owner(1044, 7, "nginx", 28_000)
    full = PortGroup("10.0.0.5", "10.0.0.9", 5432, 28_232, 0, (owner,))
    client = process(fds=28_300, soft=100_000, close_wait=close_wait)
    report = judged(snapshot(0.0, client, netns=(netns(ports=ports(full)),)))
    assert both(report, "ephemeral-ports") == ([RANGE], wanted)


# What follows the field


def test_check_does_not_say_try_and_says_what_the_limit_is_worth() -> None:
    said = check.as_text(LEAK, False)
    assert "try:" not in said
    assert BUYS_TIME in said
    assert "try: sockmon tune plan nofile@1044=" in check.as_text(BUSY, False)


def test_json_has_the_field_only_where_it_is_false() -> None:
    def remedies(report: Report) -> Sequence[dict[str, Any]]:
        found = json.loads(check.as_json(report))["readings"]
        return [each for one in found if one["ceiling"] == "process-fds" for each in one["remedies"]]

    assert [each.get("advised") for each in remedies(LEAK)] == [None, False]
    assert [each.get("advised") for each in remedies(BUSY)] == [None, None]
    assert all({"kind", "key", "value", "text"} <= set(each) for each in remedies(LEAK))
    required = json.loads(check.schema())["$defs"]["Remedy"]["required"]
    assert "advised" not in required


def here(report: Report, row: Process) -> Any:
    values = {"nofile@1044": "1024:4096", SOMAXCONN: "4096"}
    found = from_snapshot(snapshot(0.0, row), alternatives=alternatives(report))
    return type(found)(**{**vars(found), "values": {**found.values, **values}, "start_times": {"nofile@1044": 7}})


def test_the_list_advises_nothing_and_has_the_reason() -> None:
    where = here(LEAK, process(fds=1024, close_wait=900))
    assert "nofile@1044" in catalog.listed_keys(LEAK)
    (row,) = catalog.rows(["nofile@1044"], where, LEAK)
    assert row.advised is None
    assert "no higher limit" in row.reason
    advised_section = next(each for each in catalog.setting_page(row, where)[2] if each.name == "Advised")
    assert advised_section.paragraphs[0].startswith("No value. ")
    assert "CLOSE_WAIT" in advised_section.paragraphs[0]
    assert advice_for(LEAK, row_of("nofile"), "nofile@1044") is None


def test_a_plan_that_is_asked_for_can_be_made_with_a_warning() -> None:
    row = process(fds=1024, close_wait=900)
    (preview,) = make_plan({"nofile@1044": "4096:4096"}, here(LEAK, row)).previews
    assert any(BUYS_TIME in warning and "CLOSE_WAIT" in warning for warning in texts(preview))
    fewer = process(fds=500, close_wait=450)
    (preview,) = make_plan({"nofile@1044": "900:4096"}, here(LEAK, fewer)).previews
    assert not any(BUYS_TIME in warning for warning in texts(preview))
    (preview,) = make_plan({"nofile@1044": "4096:4096"}, here(BUSY, row)).previews
    assert not any(BUYS_TIME in warning for warning in texts(preview))


def test_what_another_alarm_advises_is_advised() -> None:
    first, second = (
        reading(judged(snapshot(0.0, process(fds=1024, close_wait=n))), "process-fds") for n in (900, 3)
    )
    report = replace(LEAK, readings=(first, second))
    assert alternatives(report) == {}
    assert advice_for(report, row_of("nofile"), "nofile@1044") is not None


def test_a_calm_reading_advises_nothing() -> None:
    calm = reading(judged(snapshot(0.0, process(fds=10))), "process-fds")
    assert settable_remedies(calm)
    assert advised_remedies(calm) == []


@pytest.mark.usefixtures("needs_userns")
def test_in_the_lab_of_the_leak_nothing_is_planned() -> None:
    with run_lab(find_lab("close-wait-leak")) as running:
        report = running.check(3)
        (pid,) = {each.key.partition("@")[2] for each in settable_remedies(report.readings[0])}
        said = running.run([*python_command("sockmon"), "check"]).stdout
        assert "CLOSE_WAIT" in said
        assert "tune plan nofile" not in said
        listed = json.loads(running.run([*python_command("sockmon"), "tune", "list", "--json"]).stdout)["tunables"]
        (row,) = [each for each in listed if each["key"] == f"nofile@{pid}"]
        assert (row["advised"], "CLOSE_WAIT" in row["reason"]) == (None, True)
        planned = running.run([*python_command("sockmon"), "tune", "plan", f"nofile@{pid}=1024:4096"]).stdout
        assert BUYS_TIME in " ".join(planned.split()).replace("Not advised", "not advised")
