"""The list of sockets and the page of one: what they ask for, show, and say when nothing comes."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console
from rich.text import Text

from sockmon.model.detail import ProcessQuery
from sockmon.model.socket_detail import PeerSocket, SocketDetail, SocketFacts, SocketQuery
from sockmon.model.socket_list import (
    KEPT_BY_KERNEL,
    ListedSocket,
    SocketKey,
    SocketListDetail,
    SocketListQuery,
    StopSocketList,
)
from sockmon.ui.detail.socket_list import SocketListScreen
from sockmon.ui.detail.socket_page import SocketScreen
from sockmon.ui.detail.socket_text import limits_text, socket_facts
from sockmon.ui.detail.sockets_place import SocketsPlace
from sockmon.ui.widgets.filter_line import FilterLine
from tests.ui.detail_app import AT, HOSTILE, DetailApp, assessment, owner
from tests.ui.main_app import text as text_of_app

INFO = {
    "rtt": 12_500, "rttvar": 800, "min_rtt": 9_000, "snd_cwnd": 10, "snd_ssthresh": 0x7FFFFFFF, "total_retrans": 7,
    "busy_time": 10_000_000, "rwnd_limited": 8_000_000, "sndbuf_limited": 500_000, "ca_state": 4,
    "last_data_sent": 90_000, "data_segs_in": 0, "last_data_recv": 5_000_000, "options": 7, "snd_wscale": 7,
    "rcv_wscale": 9, "snd_mss": 1448, "rcv_mss": 536, "bytes_acked": 1, "bytes_received": 0,
}  # fmt: skip


def text(app: Any) -> str:
    return text_of_app(app)


class LiveApp(DetailApp):
    """A source that can answer."""

    source: Any = SimpleNamespace(live=True)


def socket(number: int = 1, **changes: Any) -> ListedSocket:
    key = SocketKey(7, "tcp", 2, number, 1000 + number, "10.0.0.5", 40_000 + number, "10.0.0.9", 5432)
    values: dict[str, Any] = {
        "key": key, "state": "ESTABLISHED", "local": f"10.0.0.5:{key.source_port}", "remote": "10.0.0.9:5432",
        "recv_queue": 3, "send_queue": 0, "uid": 33, "user": "www", "owner": owner(812, "envoy", 1),
        "netns": "host",
    }  # fmt: skip
    return ListedSocket(**values | changes)


def answer(
    query: SocketListQuery, *rows: ListedSocket, complete: bool = True, matching: int = 0
) -> SocketListDetail:
    return SocketListDetail(AT, query, rows, matching or len(rows), 5_000, complete, seconds=0.01)


def lists(app: DetailApp) -> list[SocketListQuery]:
    return [request for request in app.asked if isinstance(request, SocketListQuery)]


async def test_the_list_asks_for_its_place_and_shows_partial_answers() -> None:
    screen = SocketListScreen(SocketsPlace(7, 'proto:tcp state:"TIME_WAIT"'))
    app = LiveApp(screen, assessment())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        (query,) = lists(app)
        assert (query.netns, [term.field for term in query.terms]) == (7, ["proto", "state"])
        assert "reading…" in text(app)
        waiting = socket(2, state="TIME_WAIT", owner=None, no_owner=KEPT_BY_KERNEL, uid=None)
        app.answer(answer(query, waiting, complete=False, matching=340_000))
        await pilot.pause()
        assert "1 of 340,000 so far" in text(app)
        assert "read 5,000 …" in text(app)
        assert "kernel" in text(app)
        app.answer(answer(query, waiting, matching=912_345))
        await pilot.pause()
        assert "the first 1 of 912,345 that match" in text(app)
        await pilot.press("enter")
        assert app.opened == [SocketQuery(waiting.key)]
        assert screen.selected_key == waiting.key


async def test_a_filter_and_an_order_go_to_the_agent_and_old_answers_are_dropped() -> None:
    screen = SocketListScreen(SocketsPlace())
    app = LiveApp(screen, assessment())
    async with app.run_test(size=(120, 40)) as pilot:
        await pilot.pause()
        (first,) = lists(app)
        app.answer(answer(first, socket(), socket(2)))
        screen.query_one(FilterLine).set_text("dport:5432 q>0")
        await pilot.pause(0.5)
        second = lists(app)[-1]
        assert [term.field for term in second.terms] == ["dport", "q"]
        app.answer(answer(first, matching=99))
        await pilot.pause()
        assert "99" not in text(app)
        app.answer(answer(second, socket()))
        await pilot.pause()
        assert "1 match" in text(app)
        screen.main_table.sort_by("RTT ms")
        await pilot.pause()
        assert (lists(app)[-1].sort, lists(app)[-1].reverse) == ("rtt", True)
        assert len({query.number for query in lists(app)}) == len(lists(app))
        await pilot.press("escape")
        await pilot.pause(0.5)
        assert lists(app)[-1].terms == ()


async def test_a_dump_is_stopped_when_the_list_is_left() -> None:
    app = LiveApp(SocketListScreen(SocketsPlace()), assessment())
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        app.push_screen(SocketScreen(SocketQuery(socket().key)))
        await pilot.pause()
        assert any(isinstance(request, StopSocketList) for request in app.asked)


async def test_a_recording_says_that_it_has_no_sockets() -> None:
    app = DetailApp(SocketListScreen(SocketsPlace()), assessment())
    app.answers = False
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "recordings have no per-socket data" in text(app)


@pytest.mark.parametrize("size", [(80, 24), (120, 40), (160, 50)], ids=str)
async def test_the_page_shows_facts_holders_and_the_other_end(size: tuple[int, int]) -> None:
    row, other = socket(owner=None), socket(2, local=HOSTILE, owner=owner(1, HOSTILE, 1))
    facts = SocketFacts(info=INFO, memory={"rmem_alloc": 70_000, "rcvbuf": 65_536, "drops": 3}, congestion="cubic")
    query = SocketQuery(row.key)
    found = SocketDetail(AT, query, row, facts, (owner(),), PeerSocket(other, ()), ())
    screen = SocketScreen(query)
    app = LiveApp(screen, assessment(), found)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        shown = text(app)
        assert "the peer's receive window" in shown
        assert "retransmission timeout" in shown
        screen.query_one("#peer").focus()
        await pilot.press("enter")
        screen.query_one("#owners").focus()
        await pilot.press("enter")
        assert app.opened == [SocketQuery(other.key), ProcessQuery(812, 5_000)]
        app.answer(SocketDetail(AT, query, None, SocketFacts(), (), None, ()))
        await pilot.pause()
        assert "closed since" in text(app)
        assert screen.selected_key is None
        assert "cwnd" in text(app)


async def test_a_socket_that_was_closed_before_its_page_says_so() -> None:
    query = SocketQuery(socket().key)
    app = LiveApp(SocketScreen(query), assessment(), SocketDetail(AT, query, None, SocketFacts(), (), None, ()))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "closed before it could be read" in text(app)


def words(facts: SocketFacts, row: ListedSocket) -> dict[str, str]:
    return {item.name: item.value.plain for item in socket_facts(row, facts)}


def test_the_limits_of_the_sender_are_shares_of_its_busy_time() -> None:
    found = limits_text(INFO).plain
    assert found.startswith("80 % the peer's receive window · 15 % the network or the congestion window · 5 %")
    assert "10 s with data in flight" in found
    assert limits_text({"busy_time": 0}).plain == "nothing: it had no data in flight"
    assert limits_text({}) == Text()


def test_what_is_not_known_is_left_out() -> None:
    found = words(SocketFacts(info=INFO), socket())
    assert found["Last data"] == "sent 2 min ago · received never"
    assert "ssthresh none yet" in found["Window"]
    assert found["Losses"].startswith("Loss: retransmission timeout · retransmitted 7 segments")
    assert "wscale 7,9" in found["Options"]
    assert "Memory" not in found
    assert "Cgroup" not in found
    bare = words(SocketFacts(), socket(2, recv_queue=None, key=SocketKey(7, "udp", 2, 5), state="UNCONN"))
    assert set(bare) == {"Socket", "Namespace", "Queues"}
    assert "Recv-Q ?" in bare["Queues"]


def test_foreign_text_is_no_markup() -> None:
    facts = words(SocketFacts(congestion=HOSTILE, cgroup=f"/{HOSTILE}", cgroup_id=5), socket(netns=HOSTILE))
    assert facts["Namespace"].strip() == HOSTILE
    assert HOSTILE in facts["Options"]
    assert facts["Cgroup"] == f"/{HOSTILE}"
    assert Console().render_str(HOSTILE, markup=False).plain == HOSTILE
