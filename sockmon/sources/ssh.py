"""`ssh://[USER@]HOST[:PORT]`, and the ssh command that starts the agent there."""

from __future__ import annotations

import ipaddress
import re
import shlex
from collections.abc import Sequence
from typing import NamedTuple

from sockmon.errors import Misuse
from sockmon.text import sanitize

SCHEME = "ssh://"
SILENCE_SECONDS = 15
"""Seconds without an answer of the other host after which ssh ends."""
NOT_FOUND_HINT = "install sockmon on that host, in the PATH of ssh commands, or use --push"
_HINT = "write ssh://HOST, ssh://USER@HOST:PORT or ssh://[IPV6]:PORT"
_HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
"""A name, an alias of ssh_config or an IPv4 address; ssh cannot take it for an option."""
_USER = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.+@\\-]{0,63}\$?")


class Address(NamedTuple):
    """The host on which an agent is started."""

    user: str
    """Empty: the user of ssh's configuration."""
    host: str
    """A name, or an address without brackets."""
    port: int | None
    """None: the port of ssh's configuration."""

    @property
    def name(self) -> str:
        """Return host and port, `web-1` or `[fe80::1]:2222`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return sanitize(host + (f":{self.port}" if self.port else ""), 56)

    @property
    def known_name(self) -> str:
        """Return the name under which ssh knows its key: see ssh-keygen(1), -R."""
        return f"[{self.host}]:{self.port}" if self.port not in (None, 22) else self.host

    @property
    def login(self) -> str:
        """Return the command that a user types to log in, `ssh -p 2222 ann@web-1`."""
        port = ["-p", str(self.port)] if self.port else []
        return shlex.join(["ssh", *port, f"{self.user}@{self.host}" if self.user else self.host])

    @property
    def title(self) -> str:
        """Return the title in the header, `ssh web-1` or `ssh [fe80::1]:2222`."""
        return f"ssh {self.name}"


def parse(spec: str) -> Address:
    """Return the address that `ssh://...` names; raise Misuse if it has more or less than user, host and port."""
    rest = spec.removeprefix(SCHEME)
    # `ssh://HOST/` is how a browser writes it.
    rest = rest.removesuffix("/")
    for sign, name in (("/", "a path"), ("?", "a query"), ("#", "a fragment")):
        if sign in rest:
            raise _misuse(spec, f"{name} is not allowed here")
    user, _, place = rest.rpartition("@")
    if ":" in user:
        raise _misuse("ssh://USER:...", "a password is not allowed here; ssh uses its agent and its key files")
    if (user != "" and not _USER.fullmatch(user)) or rest.startswith("@"):
        raise _misuse(spec, f"`{sanitize(user, 80)}` is not a valid user name")
    host, port = _host_and_port(spec, place)
    return Address(user, host, port)


def _host_and_port(spec: str, place: str) -> tuple[str, int | None]:
    if place.startswith("["):
        host, closed, behind = place[1:].partition("]")
        if not closed or not _is_ipv6(host) or (behind and not behind.startswith(":")):
            raise _misuse(spec, f"`{sanitize(place, 80)}` is not a valid IPv6 address in brackets")
        return host, _port(spec, behind[1:]) if behind else None
    host, colon, port = place.partition(":")
    if ":" in port:
        raise _misuse(spec, "an IPv6 address needs brackets")
    if not host:
        raise _misuse(spec, "the host is missing")
    if not _HOST.fullmatch(host):
        raise _misuse(spec, f"`{sanitize(host, 80)}` is not a valid host name")
    return host, _port(spec, port) if colon else None


def _is_ipv6(text: str) -> bool:
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return False
    # The interface behind % goes to ssh as it is.
    return not address.scope_id or bool(_HOST.fullmatch(address.scope_id))


def _port(spec: str, text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 0 < int(text) < 1 << 16:
        raise _misuse(spec, f"`{sanitize(text, 80)}` is not a valid port, which is 1 to 65535")
    return int(text)


def _misuse(spec: str, reason: str) -> Misuse:
    return Misuse(f"{sanitize(spec, 120)}: {reason}", _HINT)


def command(address: Address, interval: float) -> list[str]:
    """Return the argv that starts the agent of `address`, where sockmon has to be installed."""
    return remote(address, ["sockmon", "agent", "--attached", "--interval", str(interval)])


def remote(address: Address, words: Sequence[str]) -> list[str]:
    """Return the argv that runs a command on `address`.

    ssh asks no questions, because the screen has the terminal. It does not share its connection with other ssh
    processes, which would lose it when the screen ends. It ends if the other side does not answer for 15 s:
    only then is a new connection tried, and a network that drops packets never closes one."""
    options = ["-T", "-o", "BatchMode=yes", "-o", "ControlMaster=no", "-o", f"ConnectTimeout={SILENCE_SECONDS}"]
    options += ["-o", f"ServerAliveInterval={SILENCE_SECONDS // 3}", "-o", "ServerAliveCountMax=3"]
    options += ["-p", str(address.port)] if address.port else []
    options += ["-l", address.user] if address.user else []
    return ["ssh", *options, "--", address.host, *words]
