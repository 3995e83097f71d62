"""What a term of the filter compares with: a text, a range of numbers, a network."""

from __future__ import annotations

import re
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from math import inf
from typing import Any, NamedTuple

from sockmon.errors import FilterError

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Units = dict[str, float]

COUNT_UNITS: Units = {"k": 1e3, "m": 1e6, "g": 1e9}
BYTE_UNITS: Units = {"k": 1024.0, "m": 1024.0**2, "g": 1024.0**3, "t": 1024.0**4}
TIME_UNITS: Units = {"s": 1.0, "m": 60.0, "min": 60.0, "h": 3_600.0, "d": 86_400.0}
PERCENT_UNITS: Units = {"%": 1.0}
RATE_UNITS: Units = {"/s": 1.0, "k": 1e3}

_NUMBER = r"(-?[0-9]{1,15}(?:\.[0-9]{0,6})?)([a-z%/]{0,3})"
_SINGLE = re.compile(rf"(>=|<=|>|<|=|)\s*{_NUMBER}$")
_RANGE = re.compile(rf"{_NUMBER}(?:-|\.\.){_NUMBER}$")
_UNFINISHED = re.compile(rf"(?:|>=|<=|>|<|=|-|{_NUMBER}(?:-|\.\.))$")
"""Input that can still become a number or a range."""
_PART = re.compile(r"[0-9a-fA-F:.]+$")
_WITH_PORT = re.compile(r"([0-9.]+):([0-9]*)$")


class Contains(NamedTuple):
    """A text that contains this one, in upper or lower case; `text` is case-folded."""

    text: str

    def matches(self, fact: Any) -> bool:
        return fact is not None and self.text in str(fact).casefold()


class NumberRange(NamedTuple):
    """A number from `low` to `high`; `exclusive`: without the finite end."""

    low: float
    high: float
    exclusive: bool = False

    def matches(self, fact: Any) -> bool:
        if not isinstance(fact, (int, float)):
            return False
        return self.low < fact < self.high if self.exclusive else self.low <= fact <= self.high


class InNetwork(NamedTuple):
    """An address in a network; a single address is a network of one."""

    network: Network

    def matches(self, fact: Any) -> bool:
        address = _address(fact) if isinstance(fact, str) else None
        return address is not None and address.version == self.network.version and address in self.network


class Prefix(NamedTuple):
    """A text that begins like this, such as an incomplete address; `text` is case-folded."""

    text: str

    def matches(self, fact: Any) -> bool:
        return isinstance(fact, str) and fact.casefold().startswith(self.text)


Value = Contains | NumberRange | InNetwork | Prefix


@lru_cache(maxsize=4096)
def _address(text: str) -> Address | None:
    """Return an address as the kernel compares it: a v4-mapped one is the IPv4 address."""
    try:
        address = ip_address(text.strip("[]").partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def read_text(name: str, text: str, quoted: bool) -> Value:
    """Return any text as a value."""
    return Contains(text.casefold())


def read_number(name: str, text: str, units: Units, usage: str) -> Value:
    """Return the range of `443`, `8000-9000`, `>8080` or `>=1k`; raise FilterError for anything else."""
    text = text.casefold()
    if _UNFINISHED.match(text):
        raise FilterError(f"{name}: needs a number", usage, unfinished=True)
    if found := _RANGE.match(text):
        low, high = _scaled(name, found[1], found[2], units), _scaled(name, found[3], found[4], units)
        if low > high:
            raise FilterError(f"{name}: {text}: the lower number comes first", usage)
        return NumberRange(low, high)
    found = _SINGLE.match(text)
    if found is None:
        raise FilterError(f"{name}: expected a number, got {text[:40]}", usage)
    number = _scaled(name, found[2], found[3], units)
    if found[1] in ("", "="):
        return NumberRange(number, number)
    span = (number, inf) if found[1].startswith(">") else (-inf, number)
    return NumberRange(*span, exclusive="=" not in found[1])


def _scaled(name: str, number: str, unit: str, units: Units) -> float:
    if unit and unit not in units:
        raise FilterError(f"{name}: unknown unit {unit}", f"units: {' '.join(units) or 'none'}")
    return float(number) * units.get(unit, 1.0)


def read_address(name: str, text: str, usage: str) -> Value:
    """Return an address, a network, or the beginning of an address or of a unix socket's path."""
    if text.startswith(("/", "@")):
        return Prefix(text.casefold())
    if "/" in text:
        if text.endswith("/"):
            raise FilterError(f"{name}: needs a prefix length", usage, unfinished=True)
        try:
            return InNetwork(ip_network(text.replace("[", "").replace("]", ""), strict=False))
        except ValueError:
            raise FilterError(f"{name}: {text[:50]} is not a network", usage) from None
    if address := _address(text):
        return InNetwork(ip_network(address))
    if found := _WITH_PORT.match(text):
        raise FilterError(f"{name}: address and port are two terms", f"write {name}:{found[1]} port:{found[2]}")
    if text == "*" or _PART.match(text):
        return Prefix(text.casefold())
    raise FilterError(f"{name}: {text[:50]} is not an address", usage)
