"""How long a connection lasts whose peer does not answer: keepalive, retransmissions, SYNs and SYN-ACKs."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

from sockmon.experiments.experiment import Experiment
from sockmon.model.experiment import Result, Step
from sockmon.sandbox import sockets
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.tracking import load_nft_rules
from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.parallel import measure_in_namespaces

_TIME, _INTVL, _PROBES = (f"net.ipv4.tcp_keepalive_{name}" for name in ("time", "intvl", "probes"))
_RETRIES2 = "net.ipv4.tcp_retries2"
_SYN, _SYNACK = "net.ipv4.tcp_syn_retries", "net.ipv4.tcp_synack_retries"
_LINEAR = "net.ipv4.tcp_syn_linear_timeouts"
_RTO = 0.2
"""Seconds to the first retransmission of data on loopback, TCP_RTO_MIN; each further pause is twice as long."""
_OBSERVE = 9.0
"""A connection that lasts longer, in seconds, is not observed further."""
_DROP_SYN_ACK = (
    "table ip load { chain in { type filter hook input priority 0;"
    " tcp flags & (syn | ack) == (syn | ack) drop; }; }"
)


def _pair(held: ExitStack) -> tuple[socket.socket, socket.socket]:
    """Return a connection and its other end, which drops all that it receives from now on."""
    listener = held.enter_context(sockets.listen())
    client = held.enter_context(socket.create_connection((sockets.LOOPBACK, sockets.SERVER_PORT), 5))
    server = held.enter_context(listener.accept()[0])
    sockets.drop_incoming(server)
    return client, server


def _until_error(connection: socket.socket, begin: float) -> float | None:
    """Return the seconds from `begin` until the connection fails; None: longer than observed."""
    poll = select.poll()
    poll.register(connection, 0)
    failed = poll.poll(max(begin + _OBSERVE - time.monotonic(), 0) * 1000)
    return round(time.monotonic() - begin, 1) if failed else None


def _idle(seconds: int, pause: int, probes: int, enable: bool = True, then: int = 0) -> float | None:
    """Return how long an idle connection lasts; with `then` tcp_keepalive_time is set to it afterwards."""
    for key, value in ((_TIME, seconds), (_INTVL, pause), (_PROBES, probes)):
        set_sysctl(key, str(value))
    with ExitStack() as held:
        client, _ = _pair(held)
        begin = time.monotonic()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, int(enable))
        if then:
            set_sysctl(_TIME, str(then))
        return _until_error(client, begin)


def _sending(retries: int, then: int = 0, data: bool = True) -> float | None:
    """Return how long a connection lasts whose data is not acknowledged."""
    set_sysctl(_RETRIES2, str(retries))
    with ExitStack() as held:
        client, _ = _pair(held)
        begin = time.monotonic()
        if data:
            client.send(b"!")
        if then:
            set_sysctl(_RETRIES2, str(then))
        return _until_error(client, begin)


def _connecting(retries: int, then: int = 0, own: int = 0) -> float | None:
    """Return how long connect() lasts if nothing answers; `own` is the socket's TCP_SYNCNT."""
    if Path("/proc/sys", _LINEAR.replace(".", "/")).exists():
        set_sysctl(_LINEAR, "0")
    set_sysctl(_SYN, str(retries))
    with ExitStack() as held:
        sockets.drop_incoming(held.enter_context(sockets.listen()))
        client = held.enter_context(socket.socket())
        client.setblocking(False)
        if own:
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_SYNCNT, own)
        begin = time.monotonic()
        client.connect_ex((sockets.LOOPBACK, sockets.SERVER_PORT))
        if then:
            set_sysctl(_SYN, str(then))
        return _until_error(client, begin)


def _half_open(retries: int, then: int | None = None) -> float | None:
    """Return how long a handshake is kept whose client does not answer."""
    set_sysctl(_SYNACK, str(retries))
    load_nft_rules(_DROP_SYN_ACK)
    with sockets.listen():
        begin = time.monotonic()
        # A socket that is closed now sends no SYN again.
        sockets.start_connect().close()
        if then is not None:
            set_sysctl(_SYNACK, str(then))
        while sockets.count_in_state(sockets.SYN_RECV):
            if time.monotonic() > begin + _OBSERVE:
                return None
            time.sleep(0.05)
        return round(time.monotonic() - begin, 1)


def _doubling(first: float, retries: int) -> float:
    """Return the seconds until the timer after so many retransmissions, whose pauses double."""
    return first * ((2 << retries) - 1)


def _as_documented(expected: float | None, measured: float | None) -> bool:
    if expected is None or measured is None:
        return expected is measured
    # The kernel checks when a timer fires, and a busy machine is late.
    return expected - 0.2 <= measured <= 2.5 * expected + 2


def _outcome(seconds: float | None) -> str:
    return f"still existed after {_OBSERVE:.0f} s" if seconds is None else f"ended after {seconds:.1f} s"


def _steps(
    builder: LabBuilder,
    measure: Callable[..., float | None],
    cases: list[tuple[tuple[object, ...], float | None, str, str, str]],
) -> tuple[list[Step], list[float | None]]:
    """Measure each case (arguments, documented seconds, setting, subject, documentation) at the same time."""
    found = measure_in_namespaces(builder, _OBSERVE, measure, *(case[0] for case in cases))
    steps = [
        Step(setting, f"{subject} {_outcome(measured)}", documented, _as_documented(expected, measured))
        for (_, expected, setting, subject, documented), measured in zip(cases, found, strict=True)
    ]
    return steps, found


_IDLE_CONNECTION = "an idle connection whose peer does not answer"
_NOT_ENABLED = "a program must turn keepalive on"


def _keepalive_time(builder: LabBuilder) -> Result:
    steps, found = _steps(
        builder,
        _idle,
        [
            (
                (1, 1, 1),
                2,
                f"{_TIME}=1 {_INTVL}=1 {_PROBES}=1",
                _IDLE_CONNECTION,
                "the first probe follows after this",
            ),
            ((3, 1, 1), 4, f"{_TIME}=3 {_INTVL}=1 {_PROBES}=1", "it", "the first probe follows after this"),
            (
                (3, 1, 1, True, 1),
                4,
                f"{_TIME}=1, set after keepalive was turned on with 3",
                "it",
                "an open connection uses a new value when its timer expires",
            ),
            ((1, 1, 1, False), None, f"{_TIME}=1", "a connection without SO_KEEPALIVE", _NOT_ENABLED),
        ],
    )
    numbers = f"an idle connection {_outcome(found[0])} with tcp_keepalive_time=1 and {_outcome(found[1])} with 3"
    return Result(steps, numbers, "this is the time until the first probe, for connections with keepalive")


def _keepalive_intvl(builder: LabBuilder) -> Result:
    steps, found = _steps(
        builder,
        _idle,
        [
            ((1, 1, 2), 3, f"{_INTVL}=1 {_TIME}=1 {_PROBES}=2", _IDLE_CONNECTION, "the pause after each probe"),
            ((1, 3, 2), 7, f"{_INTVL}=3 {_TIME}=1 {_PROBES}=2", "it", "the pause after each probe"),
            ((1, 1, 1, False), None, f"{_INTVL}=1", "a connection without SO_KEEPALIVE", _NOT_ENABLED),
        ],
    )
    numbers = f"with two probes it {_outcome(found[0])} with tcp_keepalive_intvl=1 and {_outcome(found[1])} with 3"
    return Result(steps, numbers, "this is the pause after each probe without an answer")


def _keepalive_probes(builder: LabBuilder) -> Result:
    steps, found = _steps(
        builder,
        _idle,
        [
            ((1, 1, 1), 2, f"{_PROBES}=1 {_TIME}=1 {_INTVL}=1", _IDLE_CONNECTION, "so many probes are sent"),
            ((1, 1, 5), 6, f"{_PROBES}=5 {_TIME}=1 {_INTVL}=1", "it", "so many probes are sent"),
            ((1, 1, 1, False), None, f"{_PROBES}=1", "a connection without SO_KEEPALIVE", _NOT_ENABLED),
        ],
    )
    numbers = (
        f"an idle connection {_outcome(found[0])} with tcp_keepalive_probes=1 and {_outcome(found[1])} with 5"
    )
    return Result(steps, numbers, "after so many probes without an answer the connection ends")


def _retries2(builder: LabBuilder) -> Result:
    waiting = "a connection whose data is not acknowledged"
    steps, found = _steps(
        builder,
        _sending,
        [
            ((1,), _doubling(_RTO, 1), f"{_RETRIES2}=1", waiting, "the time of one retransmission and its pause"),
            ((3,), _doubling(_RTO, 3), f"{_RETRIES2}=3", "it", "each pause is twice as long as the one before"),
            (
                (15, 1),
                _doubling(_RTO, 1),
                f"{_RETRIES2}=1, set while it waited with 15",
                "it",
                "it applies at once",
            ),
            ((1, 0, False), None, f"{_RETRIES2}=1", "an idle connection", "without data nothing is retransmitted"),
        ],
    )
    numbers = f"a connection whose data is not acknowledged {_outcome(found[0])} with tcp_retries2=1 and"
    return Result(
        steps,
        f"{numbers} {_outcome(found[1])} with 3",
        "this sets how long data is sent again, not idle connections",
    )


def _syn_retries(builder: LabBuilder) -> Result:
    steps, found = _steps(
        builder,
        _connecting,
        [
            ((1,), _doubling(1, 1), f"{_SYN}=1", "a connect() without an answer", "one more SYN after 1 s"),
            ((2,), _doubling(1, 2), f"{_SYN}=2", "it", "each pause is twice as long as the one before"),
            ((6, 1), _doubling(1, 1), f"{_SYN}=1, set while it waited with 6", "it", "it applies at once"),
            ((1, 0, 2), _doubling(1, 2), f"{_SYN}=1", "a socket with TCP_SYNCNT=2", "TCP_SYNCNT has priority"),
        ],
    )
    numbers = f"a connect() without an answer {_outcome(found[0])} with tcp_syn_retries=1 and {_outcome(found[1])}"
    return Result(steps, f"{numbers} with 2", "this sets how long connect() waits for a host that does not answer")


def _synack_retries(builder: LabBuilder) -> Result:
    steps, found = _steps(
        builder,
        _half_open,
        [
            (
                (0,),
                _doubling(1, 0),
                f"{_SYNACK}=0",
                "a handshake whose client does not answer",
                "no SYN-ACK again",
            ),
            ((1,), _doubling(1, 1), f"{_SYNACK}=1", "it", "one more SYN-ACK after 1 s"),
            ((5, 0), _doubling(1, 0), f"{_SYNACK}=0, set while it waited with 5", "it", "it applies at once"),
        ],
    )
    numbers = (
        f"a handshake without an answer {_outcome(found[0])} with tcp_synack_retries=0 and {_outcome(found[1])}"
    )
    return Result(steps, f"{numbers} with 1", "this sets how long a handshake takes a place in the SYN queue")


EXPERIMENTS = (
    Experiment(_TIME, "how long a connection with keepalive is idle before a probe", _keepalive_time, 9),
    Experiment(_INTVL, "the pause between keepalive probes", _keepalive_intvl, 9),
    Experiment(_PROBES, "after how many keepalive probes a connection ends", _keepalive_probes, 9),
    Experiment(_RETRIES2, "how long data is sent again to a peer that does not answer", _retries2, 9),
    Experiment(_SYN, "how long connect() waits for a host that does not answer", _syn_retries, 9),
    Experiment(
        _SYNACK, "how long a handshake is kept if its client does not answer", _synack_retries, 4, ("nft",)
    ),
)
