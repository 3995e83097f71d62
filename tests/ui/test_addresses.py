"""The page of addresses and rules: what it shows at each size, and where it is opened."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from sockmon.model.host import Neighbours
from sockmon.model.missing import Missing
from sockmon.model.nat_rules import Conditions, NatRule, NatRules, NatTarget, NotrackRule
from sockmon.model.netns_rules import (
    Address,
    IpvsDestination,
    IpvsService,
    Link,
    NeighbourCount,
    NetnsDetail,
    NetnsQuery,
    PolicyRule,
    Route,
)
from sockmon.ui.detail.addresses import AddressesScreen
from sockmon.ui.detail.addresses_text import host_tables
from sockmon.ui.detail.ceiling import CeilingScreen
from sockmon.ui.help import HelpScreen
from sockmon.ui.main.screen import MainScreen
from tests.ui import detail_app, fake_app
from tests.ui.detail_app import AT, HOSTILE, DetailApp
from tests.ui.fake_helper import until
from tests.ui.main_app import play

QUERY = NetnsQuery(7)
NAT = NatRules(
    AT,
    (
        NatRule("masquerade", "nft", "ip nat", "post", 5, (NatTarget("", "", 2000, 3000),),
                Conditions("ip", "tcp", device="eth0"), ("random",), 1234, HOSTILE),
        NatRule("snat", "iptables-legacy", "ip nat", "POSTROUTING", 1, (), unread="its map could not be read"),
    ),
    2,
    (NotrackRule("nft", "ip raw", "pre", 3, Conditions(protocol="udp", ports=(53, 53))),),
    1,
)  # fmt: skip
DETAIL = NetnsDetail(
    AT, QUERY, (Missing("IPVS", "may not be read"),),
    (Link(1, "lo", up=True, state="UNKNOWN", mtu=65536),
     Link(2, HOSTILE[:15], "veth", True, "LOWERLAYERDOWN", 1500, 1000, "fq_codel", 9, 9, 0, 0, 5, 0, 0, 3, 10240,
          queue_dropped=7)),
    2,
    (Address(2, "192.0.2.1/24", "global"), Address(2, "2001:db8::5/64", "global", ("deprecated",))), 2000,
    (Route(4, "main", "default", via=("192.0.2.254",), device="eth0"),
     Route(6, "77", "2001:db8::/32", "blackhole")),
    2, 9,
    (PolicyRule(4, 32766, "from all", "lookup main"),), 1,
    (NeighbourCount(4, 2, {"STALE": 3, "FAILED": 40}),), 43,
    NAT,
    (IpvsService("TCP", "192.0.2.1:80", "rr", (IpvsDestination("10.0.0.1:80", "Masq", 1, 12, 3),), 1),), 1,
)  # fmt: skip


@pytest.mark.parametrize("size", [(160, 50), (120, 40), (80, 24)])
async def test_says_all(size: tuple[int, int]) -> None:
    screen = AddressesScreen(QUERY)
    app = DetailApp(screen, detail_app.assessment(), DETAIL)
    async with app.run_test(size=size) as pilot:
        await pilot.pause()
        assert set(app.asked) == {QUERY}
        text = detail_app.text_of(screen, "#rules")
        flat = " ".join(text.split())
        for part in (
            *("Links · 2 · 1 has lost packets", "LOWERLAYERDOWN", "3/10.2k", HOSTILE[:15]),
            *("Addresses · 2 of 2,000", "192.0.2.1/24", "deprecated"),
            *("default (IPv4)", "blackhole", "9 more in the table local", "lookup main"),
            *("Neighbours · 43", "FAILED 40 STALE 3"),
            *("masquerade to :2000-3000 random", "ip tcp oifname eth0", HOSTILE, "iptables-legacy"),
            *("snat to ? (its map could not be read)", "notrack", "udp dport 53"),
            *("TCP 192.0.2.1:80", "→ 10.0.0.1:80", "Masq"),
        ):
            assert part in flat, part
        assert all(len(line) <= size[0] for line in text.splitlines())
        assert "IPVS: may not be read" in detail_app.text_of(screen, "#missing")


async def test_nat_rules_come_first_if_they_are_what_is_asked_for() -> None:
    screen = AddressesScreen(QUERY, "nat")
    app = DetailApp(screen, detail_app.assessment(), DETAIL)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert detail_app.text_of(screen, "#rules").strip().startswith("NAT rules")


async def test_a_recording_says_that_it_has_none() -> None:
    screen = AddressesScreen(QUERY)
    app = DetailApp(screen, detail_app.assessment())
    app.answers = False
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "a recording holds no addresses and rules" in detail_app.text_of(screen, "#missing")


async def test_r_reads_again_and_an_answer_about_another_namespace_is_ignored() -> None:
    screen = AddressesScreen(QUERY)
    app = DetailApp(screen, detail_app.assessment(), DETAIL)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        screen.answer(NetnsDetail(AT, NetnsQuery(8), (Missing("other", "other"),)))
        assert "other" not in detail_app.text_of(screen, "#missing")
        await screen.action_read_again()
        assert len(app.asked) == 1, "the first answer has not come"
        app.answer(DETAIL)
        before = len(app.asked)
        await screen.action_read_again()
        assert len(app.asked) == before + 1


async def test_i_opens_it_from_the_main_screen_and_from_a_ceiling_and_escape_returns() -> None:
    async with play() as (app, pilot, source):
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, AddressesScreen))
        await until(pilot, lambda: NetnsQuery(fake_app.NETNS) in source.asked)
        await pilot.press("i")
        await pilot.pause()
        assert sum(isinstance(each, AddressesScreen) for each in app.screen_stack) == 1
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, MainScreen))
        await pilot.press("b", "enter")
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen))
        await pilot.press("i")
        await until(pilot, lambda: isinstance(app.screen, AddressesScreen))
        await pilot.press("escape")
        await until(pilot, lambda: isinstance(app.screen, CeilingScreen))
        await pilot.press("question_mark", "i")
        await pilot.pause()
        assert isinstance(app.screen, HelpScreen), "the help is in front of it"


def test_the_tables_that_all_namespaces_share() -> None:
    shared = replace(
        detail_app.snapshot(),
        neighbours=(Neighbours("arp_cache", 12, 0), Neighbours("ndisc_cache", 3, 0)),
        sysctls={"net.ipv4.neigh.default.gc_thresh3": "1024"},
    )
    assert host_tables(shared) == "arp_cache 12 / 1,024, ndisc_cache 3"
    assert host_tables(detail_app.snapshot()) == ""
