"""Which `ssh://` address a host of a Prometheus has: a template, filled with its labels."""

from __future__ import annotations

import re

from sockmon.errors import Misuse, SockmonError
from sockmon.fleet.hosts import FleetHost
from sockmon.sources.ssh import SCHEME, parse
from sockmon.text import sanitize

DEFAULT_TEMPLATE = "ssh://{host}"
_PLACE = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_NAME = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_.-]{0,252})|\[[0-9A-Fa-f:.]+\]")
"""What a label may put into an address: a name or an address, and never a user or an option."""
_PORT = re.compile(r":[0-9]{1,5}$")


def require_template(template: str) -> str:
    """Return the template; raise Misuse unless it makes an `ssh://` address of a usual host."""
    if not template.startswith(SCHEME) or not _PLACE.search(template):
        raise Misuse(
            f"--ssh {sanitize(template, 80)} is not a template",
            "write 'ssh://{host}', or with a label, a user and a port: 'ssh://ops@{nodename}.example.com:22'",
        )
    parse(_PLACE.sub("web-1", template))
    return template


def address_of(host: FleetHost, template: str) -> str:
    """Return the address of a host: `{host}` is its instance without the port, and any other name a label of it.

    Raise SockmonError if a label is missing or is not a host name."""

    def fill(found: re.Match[str]) -> str:
        name = found[1]
        value = _PORT.sub("", host.name) if name == "host" else host.labels.get(name, "")
        if name == "instance":
            value = host.name
        if not value:
            raise SockmonError(f"{host.name} has no label {name}, which {template} needs")
        if not _NAME.fullmatch(value):
            raise SockmonError(
                f"{sanitize(value, 80)} is not the name of a host", "--ssh 'ssh://{LABEL}' names another label"
            )
        return value

    address = _PLACE.sub(fill, template)
    parse(address)
    return address
