"""Orphans: how long the kernel repeats the end of a connection that no process holds any more."""

from __future__ import annotations

import socket
import time
from contextlib import ExitStack

from sockmon.labs.loads.halves import deafen
from sockmon.labs.namespaces import set_sysctl
from sockmon.labs.stage import Stage
from sockmon.proofs import sockets
from sockmon.proofs.apart import apart
from sockmon.proofs.proof import Finding, Proof, Step

_KEY = "net.ipv4.tcp_orphan_retries"
_FIRST = 0.2
"""Seconds to the first repetition on loopback, TCP_RTO_MIN; each further pause is twice as long."""
_FEW, _MORE, _MANY = 1, 2, 15
_LOOK = 5.0
"""Seconds after which what is still there stays out of this."""


def _lasts(before: int, after: int, held: bool) -> float | None:
    """Seconds that a connection lasts whose peer has stopped answering, closed while this was `before` and then
    set to `after`; with `held` its process keeps it. None: it was there at the end."""
    set_sysctl(_KEY, str(before))
    with sockets.server() as listener, ExitStack() as stack:
        [client] = sockets.fill(most=1)
        deafen(stack.enter_context(listener.accept()[0]))
        begin = time.monotonic()
        if held:
            client.shutdown(socket.SHUT_WR)
            stack.enter_context(client)
        else:
            client.close()
        set_sysctl(_KEY, str(after))
        while sockets.count(sockets.FIN_WAIT1):
            if time.monotonic() > begin + _LOOK:
                return None
            time.sleep(0.05)
        return round(time.monotonic() - begin, 1)


def _expected(retries: int) -> float:
    """tcp_model_timeout of net/ipv4/tcp_timer.c."""
    return _FIRST * ((2 << retries) - 1)


def _as_told(seconds: float | None, retries: int) -> bool:
    # It is looked at when a timer fires, and the last pause may just have begun.
    return seconds is not None and _expected(retries) - 0.1 <= seconds <= 2.5 * _expected(retries) + 2


def _retries(stage: Stage) -> Finding:
    cases = ((_FEW, _FEW, False), (_MORE, _MORE, False), (_MANY, _FEW, False), (_FEW, _FEW, True), (0, 0, False))
    few, more, lowered, held, default = apart(stage, _LOOK, _lasts, *cases)
    steps = [
        Step(
            f"{_KEY}={_FEW}",
            f"a closed connection with a deaf peer {_went(few)}",
            "the kernel gives up after this many repetitions",
            _as_told(few, _FEW),
        ),
        Step(f"{_KEY}={_MORE}", f"it {_went(more)}", "each repetition waits twice as long", _as_told(more, _MORE)),
        Step(
            f"{_KEY}={_FEW}",
            f"one that was closed with {_MANY} set {_went(lowered)}",
            "it counts for those that are closed already, at their next repetition",
            _as_told(lowered, _FEW),
        ),
        Step(
            f"{_KEY}={_FEW}",
            f"one that its process still holds {_went(held)}",
            "connections that a process holds are not meant",
            held is None,
        ),
        Step(f"{_KEY}=0", f"it {_went(default)}", "0 is 8 repetitions, about 100 s", default is None),
    ]
    numbers = (
        f"an orphan whose peer is deaf {_went(few)} with tcp_orphan_retries={_FEW} and {_went(more)} with {_MORE}"
    )
    return Finding(steps, numbers, "this decides how long orphans last, those that are there included")


def _went(seconds: float | None) -> str:
    return f"was still there after {_LOOK:.0f} s" if seconds is None else f"was gone after {seconds:.1f} s"


PROOFS = (Proof(_KEY, "how long an orphan lasts whose peer does not answer", _retries, 5),)
