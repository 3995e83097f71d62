"""The page of a process: who it is, what it does and uses, and the list of its descriptors."""

from __future__ import annotations

import msgspec
import pytest
from textual.widgets import Input

from sockmon.assess import Assessment
from sockmon.kernel.processes.process_counters import DOES_NOT_ANSWER
from sockmon.model.detail import ListenerQuery
from sockmon.model.process_facts import (
    Descriptor,
    DescriptorsDetail,
    DescriptorsQuery,
    MemoryDetail,
    MemoryQuery,
    ProcessFacts,
)
from sockmon.model.snapshot import Missing
from sockmon.ui.detail.descriptors import DescriptorsScreen
from sockmon.ui.detail.process import ProcessScreen
from sockmon.ui.detail.process_text import identity_facts
from sockmon.ui.detail.screen_for import screen_for
from sockmon.ui.detail.share_tables import ShareTable
from sockmon.ui.widgets.filter_line import FilterLine
from sockmon.ui.widgets.table import Table
from tests.ui import detail_app
from tests.ui.detail_app import PROCESS, DetailApp

SIZES = [(160, 50), (120, 40), (80, 24)]
DESCRIPTORS = DescriptorsQuery(PROCESS.pid, PROCESS.start)


def lines(
    before: ProcessFacts | None = None, missing: tuple[Missing, ...] = (), **changes: object
) -> dict[str, str]:
    """Return the top of the page, by label."""
    detail = detail_app.process_detail(facts=detail_app.facts(**changes), missing=missing)
    assert detail.process is not None
    found = identity_facts(detail.process, detail, detail_app.snapshot(), None, before)
    return {each.name: each.value.plain for each in found}


@pytest.mark.parametrize("size", SIZES)
async def test_the_first_screen_says_who_where_and_what(size: tuple[int, int]) -> None:
    screen = ProcessScreen(PROCESS)
    app = DetailApp(screen, detail_app.assessment(), detail_app.process_detail())
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        shown = [screen.query_one("#identity").render_line(y).text for y in range(size[1] - 4)]
        text = " ".join(" ".join(shown).split())
        for word in (
            "pid 1044", "sleeping in ep_poll()", "11 sleeping, 1 uninterruptible", "measuring…", "84 M resident",
            "842 of 1,024 descriptors 82 %", "container web of docker (4f4f4f4f4f4f)", "net host [7]",
            "own mnt [4026532611]", "nginx[1044] ← nginx[1043] ← systemd[1]", "/usr/sbin/nginx (deleted)",
        ):  # fmt: skip
            assert word in text
        assert "By remote · 410 more" in str(screen.query_one("#remotes").border_title)
        assert "11,541 connections opened by it" in str(screen.query_one("#listeners").border_title)
        assert "2 sockets not listed" in str(screen.query_one("#states").border_title)
        assert "790" in detail_app.text_of(screen, "#listeners")


def test_rates_are_of_the_time_between_two_answers() -> None:
    before = detail_app.facts(at=detail_app.AT - 3, user_seconds=2_999.0, system_seconds=599.5, read_chars=0)
    found = lines(before)
    assert found["CPU"].startswith("75 % of one processor · user 50 %, system 25 %")
    assert found["All I/O"].startswith("read 45 M/s, 90 M in all · written 0 B/s, 800 M in all")
    assert "measuring" in lines(detail_app.facts())["CPU"]


def test_what_cannot_be_read_stands_in_its_line() -> None:
    needs = tuple(Missing(reader, f"needs root to read {reader}") for reader in ("executable", "I/O", "wchan"))
    found = lines(missing=needs, executable=None, read_bytes=None, wchan=None)
    assert found["Program"] == "? needs root to read executable"
    assert found["Disk I/O"] == "? needs root to read I/O"
    assert "? needs root to read wchan" in found["State"]


def test_a_process_that_does_not_answer_says_so_first() -> None:
    silent = (Missing("cpu", DOES_NOT_ANSWER),)
    found = lines(missing=silent, answers=False, state="D", user_seconds=None, read_bytes=None)
    assert found["State"].startswith("does not answer · waiting in the kernel, not interruptible in ep_poll()")
    assert DOES_NOT_ANSWER in found["CPU"]


def test_a_zombie_has_neither_program_nor_processor() -> None:
    found = lines(state="Z", wchan=None, executable=None, directory=None, user_seconds=None, threads_by_state={})
    assert found["State"] == "zombie: it has ended, and its parent has not waited for it"
    assert found.keys().isdisjoint(("Program", "Directory", "CPU", "Disk I/O", "Runs in"))


def test_a_namespace_of_its_own_is_told_from_that_of_sockmon() -> None:
    facts = detail_app.facts()
    other = (msgspec.structs.replace(facts.namespaces[0], inode=4711, shared=False), facts.namespaces[1])
    assert "net [4711] its own" in lines(namespaces=other)["Runs in"]
    assert "all namespaces are those of sockmon" in lines(namespaces=facts.namespaces[:1])["Runs in"]


def test_parents_that_are_not_visible_are_not_taken_for_the_end() -> None:
    facts = detail_app.facts()
    assert lines(parents=facts.parents[:1])["Parents"].endswith("nginx[1043] ← not visible")
    chain = tuple(msgspec.structs.replace(facts.parents[0], pid=pid) for pid in range(20, 0, -1))
    assert lines(parents=chain)["Parents"].endswith("nginx[16] ← 15 more ← nginx[1]")


async def test_memory_is_counted_on_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = ProcessScreen(PROCESS)
    app = DetailApp(screen, detail_app.assessment(), detail_app.process_detail())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        await pilot.press("M")
        query = MemoryQuery(PROCESS.pid, PROCESS.start)
        assert query in app.asked
        app.answer(MemoryDetail(detail_app.AT, query, 30 << 20, 20 << 20, ()))
        assert "PSS 30 M, alone 20 M" in detail_app.text_of(screen, "#identity")
        app.answer(MemoryDetail(detail_app.AT, query, None, None, (Missing("memory", "needs root"),)))
        assert "? needs root" in detail_app.text_of(screen, "#identity")


async def test_enter_narrows_and_opens() -> None:
    screen = ProcessScreen(PROCESS)
    app = DetailApp(screen, detail_app.assessment(), detail_app.process_detail())
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        states, kinds = screen.query_one("#states", ShareTable), screen.query_one("#kinds", ShareTable)
        assert screen.opens(states, ("CLOSE_WAIT", 31, 0.1)) is None
        assert screen.query_one(FilterLine).query_one(Input).value == "state:CLOSE_WAIT"
        assert screen.opens(states, ("unix", 13, 0.1)) is None
        assert screen.query_one(FilterLine).query_one(Input).value == "proto:unix"
        assert screen.opens(kinds, ("pipe", 12, 0.1)) == DescriptorsQuery(PROCESS.pid, PROCESS.start, "pipe")
        await pilot.press("escape", "l")
        assert app.opened == [DESCRIPTORS]


async def test_a_listener_in_a_namespace_that_is_not_watched_says_so() -> None:
    screen = ProcessScreen(PROCESS)
    app = DetailApp(screen, detail_app.assessment(), detail_app.process_detail(netns=4711))
    async with app.run_test(size=(160, 50)) as pilot:
        await pilot.pause()
        listeners = screen.query_one("#listeners", Table)
        assert "network namespace 4711, which is not watched" in str(
            screen.opens(listeners, detail_app.listener())
        )
        app.answer(detail_app.process_detail())
        assert screen.opens(listeners, detail_app.listener()) == ListenerQuery(7, 501)


def listed(*rows: Descriptor, **changes: object) -> DescriptorsDetail:
    kinds = {"socket": 3, "file": 2, "pipe": 1}
    fields: dict[str, object] = {"matching": len(rows), "total": 6, "kinds": kinds, "name": "nginx", "missing": ()}
    return DescriptorsDetail(detail_app.AT, DESCRIPTORS, rows, **{**fields, **changes})  # type: ignore[arg-type]


ROWS = (
    Descriptor(0, "file", "/var/log/[bold]x (deleted)"),
    Descriptor(3, "socket", "socket:[1]", "tcp", "LISTEN", "0.0.0.0:443", "0.0.0.0:0"),
    Descriptor(4, "socket", "socket:[2]", "tcp", "ESTABLISHED", "10.0.0.5:443", "10.0.0.9:5432"),
    Descriptor(5, "socket", "socket:[3]", "udp", "CLOSE", "127.0.0.1:53", "0.0.0.0:0"),
    Descriptor(6, "socket", "socket:[4]"),
    Descriptor(7, "pipe", "pipe:[9]"),
)


def there() -> Assessment:
    return detail_app.assessment()


@pytest.mark.parametrize("size", SIZES)
async def test_descriptors_are_a_list(size: tuple[int, int]) -> None:
    screen = screen_for(DESCRIPTORS)
    assert isinstance(screen, DescriptorsScreen)
    app = DetailApp(screen, there(), listed(*ROWS, matching=9_000))
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        text = detail_app.text_of(screen, "#descriptor-list")
        for word in ("/var/log/[bold]x (deleted)", "10.0.0.5:443 → 10.0.0.9:5432", "socket:[4]", "pipe:[9]"):
            assert word in text
        assert "0.0.0.0:0" not in text
        assert screen.query_one("#descriptor-list").border_title == "Descriptors · the first 6 of 9,000"
        await pilot.press("slash", *"port:5432", "enter")
        assert [row.number for row in screen.main_table.arranged] == [4]
        await pilot.press("enter")
        assert app.told == ["4: socket:[2], tcp ESTABLISHED"]


async def test_descriptors_that_may_not_be_read_say_why() -> None:
    screen = DescriptorsScreen(DESCRIPTORS)
    why = (Missing("descriptors", "needs root (or its user) to list its descriptors"),)
    app = DetailApp(screen, there(), listed(total=None, kinds={}, missing=why))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "needs root (or its user) to list" in detail_app.text_of(screen, "#missing")
        assert "? needs root or its user" in detail_app.text_of(screen, "#descriptor-list")
        app.answer(listed(total=None, kinds={}, name=""))
        assert "process ended since" in detail_app.text_of(screen, "#title")
