"""TIME_WAIT: how long it lasts, when its ports are free again, how many there may be."""

from __future__ import annotations

import os
import signal
import time
from itertools import product

from sockmon.labs import namespaces
from sockmon.labs.namespaces import set_sysctl
from sockmon.labs.stage import Stage
from sockmon.proofs import sockets
from sockmon.proofs.apart import apart
from sockmon.proofs.far import another_host
from sockmon.proofs.proof import Finding, Proof, Step

_FIN_TIMEOUT = "net.ipv4.tcp_fin_timeout"
_REUSE = "net.ipv4.tcp_tw_reuse"
_DELAY = "net.ipv4.tcp_tw_reuse_delay"
_BUCKETS = "net.ipv4.tcp_max_tw_buckets"
_LENGTH = 60.0
"""TCP_TIMEWAIT_LEN of include/net/tcp.h."""
_SLACK = 0.125
"""A timer of the kernel's wheel may be late by an eighth of its length: kernel/time/timer.c."""
_LOOKED_AT = {"FIN_WAIT2": sockets.FIN_WAIT2, "TIME_WAIT": sockets.TIME_WAIT}
PORTS, PAUSE = 20, 1.5


def _ends(before: int, after: int) -> dict[str, float]:
    """How long FIN_WAIT2 and TIME_WAIT lasted, closed while tcp_fin_timeout was `before`, then set to `after`."""
    set_sysctl(_FIN_TIMEOUT, str(before))
    with sockets.server() as listener:
        kept, closed = sockets.fill(most=1)[0], sockets.fill(most=1)[0]
        forgetful, polite = listener.accept()[0], listener.accept()[0]
        kept.close()
        closed.close()
        polite.recv(1)
        polite.close()
        begin = time.monotonic()
        sockets.settled(lambda: sockets.count(sockets.FIN_WAIT2), 1)
        set_sysctl(_FIN_TIMEOUT, str(after))
        lasted = {"FIN_WAIT2": 0.0, "TIME_WAIT": 0.0}
        while time.monotonic() < begin + 2 * _LENGTH:
            now = round(time.monotonic() - begin, 1)
            states = sockets.states()
            open_ = [name for name, state in _LOOKED_AT.items() if state in states]
            lasted.update(dict.fromkeys(open_, now))
            if not open_:
                break
            # The file is a walk through the host's whole table: looking more often takes a processor.
            time.sleep(0.2)
        forgetful.close()
    return lasted


def _is(measured: float, expected: float) -> bool:
    return expected - 0.5 <= measured <= expected * (1 + _SLACK) + 2


def _fin_timeout(stage: Stage) -> Finding:
    cases = ((60, 60), (5, 5), (60, 5))
    found = apart(stage, 62, _ends, *cases)
    words = (
        "FIN_WAIT2 ends after this, TIME_WAIT after 60 s",
        "FIN_WAIT2 ends after this, TIME_WAIT after 60 s all the same",
        "it counts for connections that are closed from then on",
    )
    steps = [
        Step(
            f"{_FIN_TIMEOUT}={after}",
            f"{f'closed while it was {before}: ' if before != after else ''}FIN_WAIT2 lasted"
            f" {each['FIN_WAIT2']:.1f} s, TIME_WAIT {each['TIME_WAIT']:.1f} s",
            word,
            _is(each["FIN_WAIT2"], before) and _is(each["TIME_WAIT"], _LENGTH),
        )
        for (before, after), each, word in zip(cases, found, words, strict=True)
    ]
    numbers = (
        f"a TIME_WAIT socket lasted {found[0]['TIME_WAIT']:.1f} s with tcp_fin_timeout=60 and"
        f" {found[1]['TIME_WAIT']:.1f} s with 5, a FIN_WAIT2 socket {found[0]['FIN_WAIT2']:.1f} s and"
        f" {found[1]['FIN_WAIT2']:.1f} s"
    )
    return Finding(steps, numbers, "this shortens FIN_WAIT2, and does not shorten TIME_WAIT")


def freed(reuse: int, far: bool) -> int:
    """Ports in TIME_WAIT that connect() gets again after 1.5 s, of 20; with `far` towards another host."""
    set_sysctl(_REUSE, str(reuse))
    sockets.port_range(PORTS)
    address = another_host(PORTS) if far else _here(PORTS)
    for client in sockets.fill(address):
        client.close()
    if (waiting := sockets.settled(_waiting, PORTS)) != PORTS:
        raise RuntimeError(f"{waiting} of {PORTS} ports are in TIME_WAIT")
    time.sleep(PAUSE)
    again = sockets.fill(address)
    for client in again:
        client.close()
    return len(again)


def _taken(reuse: int, bound: bool) -> int:
    """Of 20 ports in TIME_WAIT those that are had again after 1.5 s: with `bound` by who binds before it connects,
    else by connections that come in to a server that closed first."""
    set_sysctl(_REUSE, str(reuse))
    sockets.port_range(PORTS)
    listener = sockets.server()
    clients = sockets.fill()
    if bound:
        sockets.close_first(listener, clients)
    else:
        sockets.close_second(listener, clients)
    sockets.settled(_waiting, PORTS)
    time.sleep(PAUSE)
    return len(sockets.fill(bound=bound))


def _waiting() -> int:
    return sockets.count(sockets.TIME_WAIT)


def _here(total: int) -> str:
    """The address of a server on loopback."""
    listener = sockets.server()
    if os.fork() == 0:
        namespaces.die_with_parent(signal.SIGKILL)
        sockets.close_after(listener, total)
    return sockets.LOOPBACK


def _reuse(stage: Stage) -> Finding:
    cases = list(product((0, 1, 2), (False, True)))
    found = dict(zip(cases, apart(stage, 3, freed, *cases), strict=True))
    words = {
        0: "no port in TIME_WAIT is taken again",
        1: "after 1 s every port may be taken again",
        2: "only on loopback, not towards another host",
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
    others = dict(zip(cases, apart(stage, 2, _taken, *cases), strict=True))
    steps = [
        Step(
            f"{_REUSE}={value}",
            f"on loopback {found[value, False]} of {PORTS} ports were free after {PAUSE} s, over a veth"
            f" {found[value, True]}",
            words[value],
            all(found[value, far] == expected[value, far] for far in (False, True)),
        )
        for value in words
    ]
    steps += [
        Step(
            f"{_REUSE}={value}",
            f"{others[value, True]} of {PORTS} were free for sockets that bind() before they connect, and a server"
            f" that closed first took {others[value, False]} of {PORTS} connections from the same ports",
            "it does nothing for sockets that are bound, nor for inbound connections",
            (others[value, True], others[value, False]) == (0, PORTS),
        )
        for value in (0, 1)
    ]
    numbers = (
        f"of {PORTS} ports in TIME_WAIT, {PAUSE} s later tcp_tw_reuse=0, 1 and 2 freed {found[0, False]},"
        f" {found[1, False]} and {found[2, False]} on loopback and {found[0, True]}, {found[1, True]} and"
        f" {found[2, True]} towards another host"
    )
    return Finding(
        steps, numbers, "1 frees them everywhere, the default 2 on loopback alone, which helps no proxy"
    )


def _until_free(delay: int) -> float:
    """Seconds that the one port there is stays in TIME_WAIT until connect() gets it again."""
    set_sysctl(_REUSE, "1")
    set_sysctl(_DELAY, str(delay))
    sockets.port_range(1)
    address = _here(1)
    [client] = sockets.fill(address)
    begin = time.monotonic()
    client.close()
    while not sockets.fill(address, most=1):
        if time.monotonic() > begin + 30:
            raise RuntimeError("the port was not free after 30 s")
        time.sleep(0.01)
    return round(time.monotonic() - begin, 2)


def _delay(stage: Stage) -> Finding:
    values = (1000, 200, 3000)
    found = apart(stage, 4, _until_free, *((value,) for value in values))
    steps = [
        Step(
            f"{_DELAY}={value}",
            f"the port was free after {seconds:.2f} s",
            "the port is free after this",
            value / 1000 <= seconds <= value / 1000 + 2,
        )
        for value, seconds in zip(values, found, strict=True)
    ]
    numbers = "a port in TIME_WAIT was free again after " + ", ".join(
        f"{seconds:.2f} s with tcp_tw_reuse_delay={value}" for value, seconds in zip(values, found, strict=True)
    )
    return Finding(steps, numbers, "this decides from when on tcp_tw_reuse=1 takes it")


def _kept_of(buckets: int, total: int) -> tuple[int, int]:
    """Sockets in TIME_WAIT, and how often one found no room, after `total` more were closed."""
    set_sysctl(_BUCKETS, str(buckets))
    before = sockets.counter("TCPTimeWaitOverflow")
    with sockets.server() as listener:
        sockets.close_first(listener, sockets.fill(most=total))
    sockets.settled(sockets.closing, 0)
    return _waiting(), sockets.counter("TCPTimeWaitOverflow") - before


def _three_times() -> list[tuple[int, int]]:
    return [_kept_of(10, 30), _kept_of(100, 30), _kept_of(5, 30)]


def _buckets(stage: Stage) -> Finding:
    [[low, high, lower]] = apart(stage, 2, _three_times, ())
    steps = [
        Step(f"{_BUCKETS}={value}", f"30 more closed: {found[0]} in TIME_WAIT, {found[1]} without", words, holds)
        for value, found, words, holds in (
            (10, low, "above it connections end without TIME_WAIT, and no program gets an error", low == [10, 20]),
            (100, high, "raised, it counts at once", high == [40, 0]),
            (5, lower, "lowered, those that are there stay", lower == [40, 30]),
        )
    ]
    numbers = (
        f"of 30 connections that were closed, tcp_max_tw_buckets=10 left {low[0]} in TIME_WAIT, of 30 more"
        f" {high[0] - low[0]} with 100, and with 5 {lower[0]} stayed"
    )
    return Finding(steps, numbers, "this limits those that come, and takes none away")


PROOFS = (
    Proof(_FIN_TIMEOUT, "it shortens FIN_WAIT2, and not TIME_WAIT", _fin_timeout, 62),
    Proof(_REUSE, "1 frees ports in TIME_WAIT everywhere, 2 on loopback alone", _reuse, 5, ("ip",)),
    Proof(_DELAY, "how long a port waits before tcp_tw_reuse takes it", _delay, 4, ("Linux 6.14",)),
    Proof(_BUCKETS, "it limits TIME_WAIT; what finds no room ends without", _buckets, 2),
)
