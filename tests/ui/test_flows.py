"""Who fills the connection table: the tops of the zoomed pane, the flows that a row opens, and one flow."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from sockmon.model.conntrack_flows import FlowDetail, FlowsQuery, FlowTuple, NetworkValue, RangeValue, WordValue
from sockmon.model.conntrack_tops import TopRow
from sockmon.model.snapshot import Missing
from sockmon.ui.app import SockmonApp
from sockmon.ui.detail.flow import FlowScreen, facts
from sockmon.ui.detail.flow_table import FlowTable
from sockmon.ui.detail.flow_ways import ways
from sockmon.ui.detail.flows import FlowsScreen
from sockmon.ui.detail.sockets_place import SocketsPlace
from sockmon.ui.filtering.filter import parse
from sockmon.ui.filtering.flow_terms import describe_terms, flow_values, terms_of_filter, terms_of_top
from sockmon.ui.main.panes.conntrack_tops import name_text
from sockmon.ui.main.screen import MainScreen
from sockmon.ui.widgets.table import Table
from tests.ui import fake_flows
from tests.ui.fake_app import START, FakeSource
from tests.ui.fake_helper import until
from tests.ui.main_app import play, text

NETNS = 7


async def zoom(app: SockmonApp, pilot: Pilot[None]) -> None:
    await pilot.press("4")
    await until(pilot, lambda: app.screen.query_one("#entries", Table).has_focus)
    await pilot.press("z")
    await until(pilot, lambda: bool(app.screen.query_one("#top-sources", Table).region))


async def focus(app: SockmonApp, pilot: Pilot[None], table: str) -> Table[Any]:
    found: Table[Any] = app.screen.query_one(table, Table)
    found.focus()
    await until(pilot, lambda: found.has_focus)
    return found


@pytest.mark.parametrize("size", [(160, 50), (120, 40), (80, 24)], ids=str)
async def test_the_zoomed_pane_shows_who_fills_the_table(size: tuple[int, int]) -> None:
    async with play(size=size) as (app, pilot, _):
        await pilot.press("4")
        assert not app.screen.query_one("#tops").display
        await zoom(app, pilot)
        first = app.screen.query_one("#top-sources", Table)
        assert "10.0.0.7" in first.render_line(1).text
        assert "61 %" in first.render_line(1).text
        assert "≥90" in first.render_line(2).text
        assert "of many" in str(first.border_title)
        beside = app.screen.query_one("#top-destinations", Table)
        assert (beside.region.y == first.region.y) is (size[0] >= 110)
        await pilot.press("z")
        await until(pilot, lambda: not app.screen.query_one("#tops").display)


async def test_tab_goes_through_the_tops_and_then_to_the_next_pane() -> None:
    async with play(size=(80, 24)) as (app, pilot, _):
        await zoom(app, pilot)
        order = ["top-sources", "top-destinations", "top-ports", "top-groups", "top-zones"]
        for name in order:
            await pilot.press("tab")
            await until(pilot, lambda name=name: app.focused is not None and app.focused.id == name)  # type: ignore[misc]
            table = app.screen.query_one(f"#{name}", Table)
            await until(pilot, lambda table=table: app.screen.region.overlaps(table.region))  # type: ignore[misc]
        await pilot.press("shift+tab")
        await until(pilot, lambda: app.focused is not None and app.focused.id == "top-groups")
        await pilot.press("tab", "tab")
        await until(pilot, lambda: app.screen.query_one("#states", Table).has_focus)


async def test_a_row_opens_its_flows_and_a_flow_its_page() -> None:
    async with play() as (app, pilot, source):
        await zoom(app, pilot)
        await focus(app, pilot, "#top-sources")
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, FlowsScreen) and "37,341" in text(app))
        assert "flows · src:10.0.0.7" in text(app)
        assert "first 100 of 37,341 that match, of 61,204" in text(app)
        assert "172.17.0.4:8443 → 10.0.0.7:1029" in text(app), "where replies of a translated flow come from"
        query = next(each for each in source.asked if isinstance(each, FlowsQuery))
        assert query.terms[0].values == (NetworkValue("10.0.0.7/32"),)
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, FlowScreen) and "1,200 packets" in text(app))
        assert "10.0.0.7:1024 → 192.0.2.1:443" in text(app)
        assert "proto:tcp src:10.0.0.7 sport:1024 dst:192.0.2.1 dport:443" in text(app), "its socket"
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, FlowsScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))
        await until(pilot, lambda: getattr(app.focused, "id", "") == "top-sources")


async def test_a_filter_is_asked_of_the_agent() -> None:
    async with play() as (app, pilot, source):
        await pilot.press("4", "enter")
        await until(pilot, lambda: isinstance(app.screen, FlowsScreen) and "37,341" in text(app))
        await pilot.press("slash", *"sport:>1100 !state:estab", "enter")
        await until(pilot, lambda: len(source.asked[-1].terms) == 4)  # type: ignore[union-attr]
        asked = source.asked[-1]
        assert isinstance(asked, FlowsQuery)
        assert describe_terms(asked.terms[2:]) == f"sport:1101-{1 << 62} !state:estab"
        table = app.screen.query_one(FlowTable)
        assert all((row.original.source_port or 0) > 1_100 for row in table.arranged)
        await pilot.press("escape")
        assert isinstance(app.screen, FlowsScreen), "Esc clears the filter first"
        await until(pilot, lambda: len(source.asked[-1].terms) == 2)  # type: ignore[union-attr]


async def test_a_recording_says_that_it_has_no_single_flows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(FakeSource, "ask", lambda *_: False)
    monkeypatch.setattr(FakeSource, "live", False)
    async with play() as (app, pilot, _):
        await pilot.press("4", "enter")
        await until(pilot, lambda: "a recording holds no single flows" in text(app))


async def test_flows_that_may_not_be_read_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    missing = (Missing("conntrack table", "needs CAP_NET_ADMIN"),)

    def ask(source: FakeSource, request: Any) -> bool:
        source.emit(fake_flows.flows_detail(request, START, missing))
        return True

    monkeypatch.setattr(FakeSource, "ask", ask)
    async with play() as (app, pilot, _):
        await pilot.press("4", "enter")
        await until(pilot, lambda: "needs CAP_NET_ADMIN" in text(app) and "? not read" in text(app))


async def test_a_flow_that_ended_says_since_when(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask(source: FakeSource, request: Any) -> bool:
        if isinstance(request, FlowsQuery):
            source.emit(fake_flows.flows_detail(request, START))
        else:
            source.emit(FlowDetail(START, request, replace(request.flow, id=999_999), ()))
        return True

    monkeypatch.setattr(FakeSource, "ask", ask)
    async with play() as (app, pilot, _):
        await pilot.press("4", "enter")
        await until(pilot, lambda: isinstance(app.screen, FlowsScreen) and "37,341" in text(app))
        await pilot.press("enter")
        await until(pilot, lambda: isinstance(app.screen, FlowScreen) and "ended since" in text(app))
        assert "a new flow has the same addresses" in text(app)
        assert "Ends in" not in text(app)


def test_terms_as_they_are_typed_and_as_they_are_asked() -> None:
    row = TopRow(5, source="fd00::1", destination="fd00::2", protocol="tcp", port=8443)
    terms = terms_of_top(row)
    assert describe_terms(terms) == "src:fd00::1 dst:fd00::2 proto:tcp dport:8443"
    assert terms[2].values == (WordValue("tcp"),)
    assert terms_of_top(TopRow(5, zone=0))[0].values == (RangeValue(0, 0),)
    typed = terms_of_filter(parse("src:10.0.0.0/8 dport:<1024 dport:80-90,443 proto:udp src:10.2. syn pid:7"))
    described = describe_terms(typed)
    assert described == f"src:10.0.0.0/8 dport:{-(1 << 62)}-1023 dport:80-90,443 proto:udp src:10.2. syn"


def test_a_flow_in_facts_and_for_the_filter() -> None:
    plain = fake_flows.flow(3, NETNS)
    assert parse("dport:53 state:unrep zone:0 port:2003").matches(flow_values(plain))
    assert not parse("state:assured").matches(flow_values(plain))
    icmp = FlowTuple("10.0.0.1", "10.0.0.2", icmp_id=77, icmp_type=8, icmp_code=0, zone=4)
    odd = replace(plain, original=icmp, helper="ftp", labels="01", master=plain.original, timeout=None)
    lines = {item.name: item.value.plain for item in facts(odd, "web", False)}
    assert lines["Original"] == "10.0.0.1 → 10.0.0.2  type 8, code 0, id 77  zone 4 of this direction"
    assert (lines["Helper"], lines["Labels"]) == ("ftp", "01")
    assert lines["Expected by"] == "10.0.0.7:2003 → 192.0.2.53:53"
    assert lines["Namespace"] == f"web net:[{NETNS}]"
    assert lines["Traffic"].startswith("not counted")


def test_where_a_flow_leads() -> None:
    found = {way.what: way for way in ways(fake_flows.flow(5, NETNS))}
    there = found["socket of the destination"].opens
    assert isinstance(there, SocketsPlace)
    assert there == SocketsPlace(0, "proto:tcp src:172.17.0.4 sport:8443 dst:10.0.0.7 dport:1029"), "translated"
    assert parse(there.filter)
    assert found["flows between both"].filter == "src:10.0.0.7 dst:192.0.2.1 proto:tcp dport:443"
    ping = FlowTuple("fd00::1", "fd00::2", icmp_id=77, icmp_type=128, icmp_code=0)
    odd = replace(fake_flows.flow(3, NETNS), original=ping, reply=ping, protocol="icmpv6")
    both = "src:fd00::1 dst:fd00::2 proto:icmpv6"
    assert [way.filter for way in ways(odd)] == ["src:fd00::1", "dst:fd00::2", both]


def test_names_of_tops() -> None:
    v6 = TopRow(1, source="fd00::1", destination="fd00::2", protocol="tcp", port=443)
    assert name_text(v6).plain == "fd00::1 → [fd00::2]:443 tcp"
    ping = TopRow(1, source="10.0.0.1", destination="10.0.0.2", protocol="icmp")
    assert name_text(ping).plain == "10.0.0.1 → 10.0.0.2 icmp"
