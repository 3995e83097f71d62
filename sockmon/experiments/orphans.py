"""Orphans: how long the kernel retransmits the FIN of a connection that no process holds any more."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

from sockmon.experiments.experiment import Experiment
from sockmon.model.experiment import Result, Step
from sockmon.sandbox import sockets
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.parallel import measure_in_namespaces
from sockmon.sandbox.sockets import drop_incoming

_KEY = "net.ipv4.tcp_orphan_retries"
_FIRST = 0.2
"""Seconds to the first retransmission on loopback, TCP_RTO_MIN; each further pause is twice as long."""
_ONE, _TWO, _FIFTEEN = 1, 2, 15
_OBSERVE_SECONDS = 5.0
"""A connection that lasts longer is not observed further."""


def _lifetime(before: int, after: int, held: bool) -> float | None:
    """Return the seconds that a closed connection lasts whose peer does not reply; None: longer than observed.

    It is closed while the setting is `before`, which is then set to `after`; with `held` its process keeps it."""
    set_sysctl(_KEY, str(before))
    with sockets.listen() as listener, ExitStack() as stack:
        [client] = sockets.connect_until_no_port(limit=1)
        drop_incoming(stack.enter_context(listener.accept()[0]))
        begin = time.monotonic()
        if held:
            client.shutdown(socket.SHUT_WR)
            stack.enter_context(client)
        else:
            client.close()
        set_sysctl(_KEY, str(after))
        while sockets.count_in_state(sockets.FIN_WAIT1):
            if time.monotonic() > begin + _OBSERVE_SECONDS:
                return None
            time.sleep(0.05)
        return round(time.monotonic() - begin, 1)


def _expected(retries: int) -> float:
    """tcp_model_timeout of net/ipv4/tcp_timer.c."""
    return _FIRST * ((2 << retries) - 1)


def _as_documented(seconds: float | None, retries: int) -> bool:
    # The kernel checks when a timer fires, and the last pause may just have begun.
    return seconds is not None and _expected(retries) - 0.1 <= seconds <= 2.5 * _expected(retries) + 2


def _retries(builder: LabBuilder) -> Result:
    cases = ((_ONE, _ONE, False), (_TWO, _TWO, False), (_FIFTEEN, _ONE, False), (_ONE, _ONE, True), (0, 0, False))
    one, two, lowered, held, default = measure_in_namespaces(builder, _OBSERVE_SECONDS, _lifetime, *cases)
    steps = [
        Step(
            f"{_KEY}={_ONE}",
            f"a closed connection whose peer does not reply {_outcome(one)}",
            "the kernel gives up after this many retransmissions",
            _as_documented(one, _ONE),
        ),
        Step(
            f"{_KEY}={_TWO}",
            f"it {_outcome(two)}",
            "each pause is twice as long as the one before",
            _as_documented(two, _TWO),
        ),
        Step(
            f"{_KEY}={_ONE}",
            f"an orphan that was closed with {_FIFTEEN} set {_outcome(lowered)}",
            "it applies to orphans that exist already, at their next retransmission",
            _as_documented(lowered, _ONE),
        ),
        Step(
            f"{_KEY}={_ONE}",
            f"a connection that its process still holds {_outcome(held)}",
            "it does not apply to connections that a process holds",
            held is None,
        ),
        Step(f"{_KEY}=0", f"it {_outcome(default)}", "0 means 8 retransmissions, about 100 s", default is None),
    ]
    numbers = (
        f"an orphan whose peer does not reply {_outcome(one)} with tcp_orphan_retries={_ONE} and {_outcome(two)}"
        f" with {_TWO}"
    )
    return Result(steps, numbers, "this sets how long orphans last, including existing ones")


def _outcome(seconds: float | None) -> str:
    return (
        f"still existed after {_OBSERVE_SECONDS:.0f} s" if seconds is None else f"was gone after {seconds:.1f} s"
    )


EXPERIMENTS = (Experiment(_KEY, "how long an orphan lasts if its peer does not reply", _retries, 5),)
