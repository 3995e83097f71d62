"""TIME_WAIT: how long it lasts, when its ports are free again, and how many there can be."""

from __future__ import annotations

import time
from functools import partial
from itertools import product

from sockmon.experiments.experiment import Experiment
from sockmon.model.experiment import Result, Step
from sockmon.sandbox import sockets
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.child_process import fork
from sockmon.sandbox.namespaces import set_sysctl
from sockmon.sandbox.parallel import measure_in_namespaces
from sockmon.sandbox.veth_host import start_remote_server

_FIN_TIMEOUT = "net.ipv4.tcp_fin_timeout"
_REUSE = "net.ipv4.tcp_tw_reuse"
_DELAY = "net.ipv4.tcp_tw_reuse_delay"
_BUCKETS = "net.ipv4.tcp_max_tw_buckets"
_RFC1337 = "net.ipv4.tcp_rfc1337"
_LENGTH = 60.0
"""TCP_TIMEWAIT_LEN of include/net/tcp.h."""
_SLACK = 0.125
"""A timer of the kernel may be late by an eighth of its length: kernel/time/timer.c."""
_MEASURED_STATES = {"FIN_WAIT2": sockets.FIN_WAIT2, "TIME_WAIT": sockets.TIME_WAIT}
PORTS, PAUSE = 20, 1.5


def _keep_time_wait() -> None:
    """Let no RST end TIME_WAIT: on a busy machine a late ACK of the other side brings one (tcp_minisocks.c)."""
    set_sysctl(_RFC1337, "1")


def _measure_states(before: int, after: int) -> dict[str, float]:
    """Return how long FIN_WAIT2 and TIME_WAIT last, if tcp_fin_timeout is `before` at close() and then `after`."""
    _keep_time_wait()
    set_sysctl(_FIN_TIMEOUT, str(before))
    with sockets.listen() as listener:
        kept, closed = sockets.connect_until_no_port(limit=1)[0], sockets.connect_until_no_port(limit=1)[0]
        forgetful, polite = listener.accept()[0], listener.accept()[0]
        kept.close()
        closed.close()
        polite.recv(1)
        polite.close()
        begin = time.monotonic()
        sockets.wait_for_value(lambda: sockets.count_in_state(sockets.FIN_WAIT2), 1)
        set_sysctl(_FIN_TIMEOUT, str(after))
        lasted = {"FIN_WAIT2": 0.0, "TIME_WAIT": 0.0}
        while time.monotonic() < begin + 2 * _LENGTH:
            now = round(time.monotonic() - begin, 1)
            states = sockets.tcp_states()
            open_ = [name for name, state in _MEASURED_STATES.items() if state in states]
            lasted.update(dict.fromkeys(open_, now))
            if not open_:
                break
            # Each read walks the host's whole table: more reads would use up a processor.
            time.sleep(0.2)
        forgetful.close()
    return lasted


def _is(measured: float, expected: float) -> bool:
    return expected - 0.5 <= measured <= expected * (1 + _SLACK) + 2


def _fin_timeout(builder: LabBuilder) -> Result:
    cases = ((60, 60), (5, 5), (60, 5))
    found = measure_in_namespaces(builder, 62, _measure_states, *cases)
    documented = (
        "FIN_WAIT2 ends after this time, TIME_WAIT after 60 s",
        "FIN_WAIT2 ends after this time, TIME_WAIT still after 60 s",
        "it applies to connections that are closed later",
    )
    steps = [
        Step(
            f"{_FIN_TIMEOUT}={after}",
            f"{f'closed while it was {before}: ' if before != after else ''}FIN_WAIT2 lasted"
            f" {each['FIN_WAIT2']:.1f} s, TIME_WAIT {each['TIME_WAIT']:.1f} s",
            text,
            _is(each["FIN_WAIT2"], before) and _is(each["TIME_WAIT"], _LENGTH),
        )
        for (before, after), each, text in zip(cases, found, documented, strict=True)
    ]
    numbers = (
        f"a TIME_WAIT socket lasted {found[0]['TIME_WAIT']:.1f} s with tcp_fin_timeout=60 and"
        f" {found[1]['TIME_WAIT']:.1f} s with 5, a FIN_WAIT2 socket {found[0]['FIN_WAIT2']:.1f} s and"
        f" {found[1]['FIN_WAIT2']:.1f} s"
    )
    return Result(steps, numbers, "this shortens FIN_WAIT2, but does not shorten TIME_WAIT")


_CLOSE_TIMEOUT = 20.0
"""Seconds in which the other side closes even on a busy machine."""


def count_reusable(reuse: int, remote: bool) -> int:
    """Return how many of 20 TIME_WAIT ports connect() reuses after 1.5 s; with `remote` towards another host."""
    _keep_time_wait()
    set_sysctl(_REUSE, str(reuse))
    sockets.limit_port_range(PORTS)
    address = start_remote_server(PORTS) if remote else _start_local_server(PORTS)
    for client in sockets.connect_until_no_port(address):
        client.close()
    if (waiting := sockets.wait_for_value(_count_time_wait, PORTS, _CLOSE_TIMEOUT)) != PORTS:
        raise RuntimeError(f"{waiting} of {PORTS} ports are in TIME_WAIT")
    time.sleep(PAUSE)
    again = sockets.connect_until_no_port(address)
    for client in again:
        client.close()
    return len(again)


def _count_other_reuse(reuse: int, bound: bool) -> int:
    """Return how many of 20 ports in TIME_WAIT are reused after 1.5 s.

    With `bound` by sockets that bind before they connect, else by connections to a server that closed first."""
    _keep_time_wait()
    set_sysctl(_REUSE, str(reuse))
    sockets.limit_port_range(PORTS)
    listener = sockets.listen()
    clients = sockets.connect_until_no_port()
    if bound:
        sockets.close_clients_first(listener, clients)
    else:
        sockets.close_server_first(listener, clients)
    sockets.wait_for_value(_count_time_wait, PORTS)
    time.sleep(PAUSE)
    return len(sockets.connect_until_no_port(bound=bound))


def _count_time_wait() -> int:
    return sockets.count_in_state(sockets.TIME_WAIT)


def _start_local_server(total: int) -> str:
    """Return the address of a new server on loopback."""
    listener = sockets.listen()
    fork(partial(sockets.close_after_clients, listener, total))
    return sockets.LOOPBACK


def _reuse(builder: LabBuilder) -> Result:
    cases = list(product((0, 1, 2), (False, True)))
    found = dict(zip(cases, measure_in_namespaces(builder, 3, count_reusable, *cases), strict=True))
    documented = {
        0: "no port in TIME_WAIT is reused",
        1: "after 1 s every port can be reused",
        2: "ports are reused only on loopback, not towards another host",
    }
    expected = {
        (0, False): 0,
        (0, True): 0,
        (1, False): PORTS,
        (1, True): PORTS,
        (2, False): PORTS,
        (2, True): 0,
    }
    cases = list(product((0, 1), (False, True)))
    others = dict(zip(cases, measure_in_namespaces(builder, 2, _count_other_reuse, *cases), strict=True))
    steps = [
        Step(
            f"{_REUSE}={value}",
            f"on loopback {found[value, False]} of {PORTS} ports were free after {PAUSE} s, over a veth"
            f" {found[value, True]}",
            documented[value],
            all(found[value, remote] == expected[value, remote] for remote in (False, True)),
        )
        for value in documented
    ]
    steps += [
        Step(
            f"{_REUSE}={value}",
            f"{others[value, True]} of {PORTS} were free for sockets that bind() before they connect, and a server"
            f" that closed first accepted {others[value, False]} of {PORTS} connections from the same ports",
            "it has no effect on bound sockets, nor on inbound connections",
            (others[value, True], others[value, False]) == (0, PORTS),
        )
        for value in (0, 1)
    ]
    numbers = (
        f"of {PORTS} ports in TIME_WAIT, {PAUSE} s later tcp_tw_reuse=0, 1 and 2 reused {found[0, False]},"
        f" {found[1, False]} and {found[2, False]} on loopback and {found[0, True]}, {found[1, True]} and"
        f" {found[2, True]} towards another host"
    )
    return Result(
        steps, numbers, "1 reuses them everywhere, the default 2 only on loopback, which does not help a proxy"
    )


def _until_free(delay: int) -> float:
    """Return the seconds until connect() reuses the only port, which is in TIME_WAIT."""
    _keep_time_wait()
    set_sysctl(_REUSE, "1")
    set_sysctl(_DELAY, str(delay))
    sockets.limit_port_range(1)
    address = _start_local_server(1)
    [client] = sockets.connect_until_no_port(address)
    begin = time.monotonic()
    client.close()
    while not sockets.connect_until_no_port(address, limit=1):
        if time.monotonic() > begin + 30:
            raise RuntimeError("the port was not free after 30 s")
        time.sleep(0.01)
    return round(time.monotonic() - begin, 2)


def _delay(builder: LabBuilder) -> Result:
    values = (1000, 200, 3000)
    found = measure_in_namespaces(builder, 4, _until_free, *((value,) for value in values))
    steps = [
        Step(
            f"{_DELAY}={value}",
            f"the port was free after {seconds:.2f} s",
            "the port is free after this time",
            value / 1000 <= seconds <= value / 1000 + 2,
        )
        for value, seconds in zip(values, found, strict=True)
    ]
    numbers = "a port in TIME_WAIT was free again after " + ", ".join(
        f"{seconds:.2f} s with tcp_tw_reuse_delay={value}" for value, seconds in zip(values, found, strict=True)
    )
    return Result(steps, numbers, "this sets after what time tcp_tw_reuse=1 reuses a port")


def _close_many(buckets: int, total: int) -> tuple[int, int]:
    """Close `total` connections; return how many sockets are in TIME_WAIT, and how often there was no room."""
    _keep_time_wait()
    set_sysctl(_BUCKETS, str(buckets))
    before = sockets.tcp_counter("TCPTimeWaitOverflow")
    with sockets.listen() as listener:
        sockets.close_clients_first(listener, sockets.connect_until_no_port(limit=total))
    sockets.wait_for_value(sockets.count_closing, 0)
    return _count_time_wait(), sockets.tcp_counter("TCPTimeWaitOverflow") - before


def _change_buckets() -> list[tuple[int, int]]:
    return [_close_many(10, 30), _close_many(100, 30), _close_many(5, 30)]


def _buckets(builder: LabBuilder) -> Result:
    [[low, high, lower]] = measure_in_namespaces(builder, 2, _change_buckets, ())
    steps = [
        Step(
            f"{_BUCKETS}={value}",
            f"30 more were closed: {found[0]} are in TIME_WAIT, {found[1]} closed without it",
            documented,
            confirmed,
        )
        for value, found, documented, confirmed in (
            (
                10,
                low,
                "above it connections close without TIME_WAIT, and no program gets an error",
                low == [10, 20],
            ),
            (100, high, "raising it takes effect at once", high == [40, 0]),
            (5, lower, "lowering it removes none", lower == [40, 30]),
        )
    ]
    numbers = (
        f"of 30 connections that were closed, tcp_max_tw_buckets=10 left {low[0]} in TIME_WAIT, of 30 more"
        f" {high[0] - low[0]} with 100, and with 5 {lower[0]} stayed"
    )
    return Result(steps, numbers, "this limits new TIME_WAIT sockets, and removes none")


EXPERIMENTS = (
    Experiment(_FIN_TIMEOUT, "it shortens FIN_WAIT2, but not TIME_WAIT", _fin_timeout, 62),
    Experiment(_REUSE, "1 reuses ports in TIME_WAIT everywhere, 2 only on loopback", _reuse, 5, ("ip",)),
    Experiment(_DELAY, "how long a port waits before tcp_tw_reuse=1 reuses it", _delay, 4, ("Linux 6.14",)),
    Experiment(_BUCKETS, "it limits TIME_WAIT; above it connections close without TIME_WAIT", _buckets, 2),
)
