"""What set the backlog of a listener: listen() takes the lower of what the application passes and of
net.core.somaxconn at that moment (net/socket.c), and the kernel remembers the result alone."""

from __future__ import annotations

from typing import Literal

from sockmon.ceilings.remedies import application
from sockmon.model.report import Remedy
from sockmon.model.snapshot import Listener

SOMAXCONN = "net.core.somaxconn"
LOWEST_DEFAULT = 128
"""The default of net.core.somaxconn until Linux 5.4, which made it 4,096; no kernel has had a lower one."""
COMMON_ARGUMENTS = frozenset({511})
"""Backlogs that programs pass to listen() (nginx, Apache httpd, Redis, Node.js), and no usual somaxconn."""

BacklogSource = Literal["application", "probably application", "cap", "older cap", "application or older cap"]


def backlog(listener: Listener) -> int:
    """Return the backlog of a listener whose backlog is known."""
    assert listener.backlog is not None
    return listener.backlog


def backlog_source(value: int, somaxconn: int) -> BacklogSource:
    """Return what set a backlog, as far as it can be known while net.core.somaxconn is `somaxconn`.

    Below it an older somaxconn may have cut what the application passed, unless the value speaks against that."""
    if value >= somaxconn:
        return "cap" if value == somaxconn else "older cap"
    if value in COMMON_ARGUMENTS:
        return "application"
    return "probably application" if value < LOWEST_DEFAULT else "application or older cap"


def describe_source(value: int, somaxconn: int) -> str:
    """Return the sentence of evidence about what set the backlog `value`."""
    source = backlog_source(value, somaxconn)
    if source == "cap":
        return f"{SOMAXCONN} {somaxconn:,} probably caps the backlog"
    if source == "older cap":
        return f"the backlog was set before {SOMAXCONN} was lowered to {somaxconn:,}"
    if source == "application":
        return f"the application asked for this backlog: it is below {SOMAXCONN} {somaxconn:,}"
    if source == "probably application":
        return (
            f"the application probably asked for this backlog: it is below {SOMAXCONN} {somaxconn:,} and below"
            " every default of it"
        )
    return (
        f"the backlog was fixed when the application called listen(): it is the application's own, or an older"
        f" {SOMAXCONN} of {value:,} capped it; {SOMAXCONN} is {somaxconn:,} now"
    )


def raise_own_backlog(value: int, who: str, somaxconn: int | None) -> Remedy:
    """Return the remedy for a backlog that the present somaxconn does not cap."""
    source = None if somaxconn is None else backlog_source(value, somaxconn)
    if source == "application or older cap":
        return application(
            f"restart {who} first, so that it calls listen() again: an older, lower {SOMAXCONN} may have capped"
            f" its backlog, and a running listener keeps it; if the backlog is {value:,} again after that, raise"
            f" what {who} passes to listen()"
        )
    text = f"raise the backlog that {who} passes to listen() (effective: {value:,}) and restart it"
    if source == "application":
        text += f"; {SOMAXCONN} is higher already, raising it would not help"
    return application(text)
