"""Which address Enter opens: a template with the labels of a host, and nothing that a label could smuggle in."""

from __future__ import annotations

import pytest

from sockmon.errors import Misuse, SockmonError
from sockmon.fleet.address import DEFAULT_TEMPLATE, address_of, require_template
from sockmon.fleet.hosts import FleetHost


def host(name: str, **labels: str) -> FleetHost:
    return FleetHost(name, "live", "ok", labels=labels)


@pytest.mark.parametrize(
    ("template", "found", "address"),
    [
        (DEFAULT_TEMPLATE, host("web-1:9768"), "ssh://web-1"),
        (DEFAULT_TEMPLATE, host("web-1"), "ssh://web-1"),
        (DEFAULT_TEMPLATE, host("10.0.0.5:9768"), "ssh://10.0.0.5"),
        (DEFAULT_TEMPLATE, host("[fd00::5]:9768"), "ssh://[fd00::5]"),
        (
            "ssh://ops@{nodename}.example.com:2222",
            host("a:1", nodename="web-1"),
            "ssh://ops@web-1.example.com:2222",
        ),
    ],
)
def test_a_template_is_filled(template: str, found: FleetHost, address: str) -> None:
    assert address_of(found, require_template(template)) == address


@pytest.mark.parametrize("name", ["-oProxyCommand=x", "root@evil", "a b", "a;b", "a/../b", "", ":9768", "$(x)"])
def test_a_label_that_is_no_name_is_no_address(name: str) -> None:
    with pytest.raises(SockmonError):
        address_of(host(name), DEFAULT_TEMPLATE)


def test_a_missing_label_is_named() -> None:
    with pytest.raises(SockmonError, match="has no label nodename"):
        address_of(host("web-1"), "ssh://{nodename}")


@pytest.mark.parametrize("template", ["", "web", "ssh://web", "http://{host}", "ssh://{host}/x", "ssh://{host}:0"])
def test_what_is_no_template(template: str) -> None:
    with pytest.raises(Misuse):
        require_template(template)
