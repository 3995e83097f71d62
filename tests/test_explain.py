"""`sockmon explain`: everything that has a name is explained, in words that fit the line, on any terminal."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from dataclasses import replace
from functools import lru_cache

import msgspec
import pytest

from sockmon.assess import Assessor
from sockmon.ceilings import CEILINGS, Ceiling
from sockmon.ceilings.sections import Section, sections, sentence
from sockmon.errors import SockmonError
from sockmon.explain import Explanation, Look, everything, look, say
from sockmon.fingerprints import Number
from sockmon.fingerprints.known import KNOWN
from sockmon.page import page
from sockmon.symptoms import SYMPTOMS, Symptom
from sockmon.topics import Topic, find, names
from sockmon.tunables import BY_KEY, TUNABLES, Tunable
from tests.netns import child_environment
from tests.snapshots import listener, netns, process, snapshot

ROWS = {row.id: row for row in CEILINGS}


@lru_cache
def now() -> Look:
    return look(None)


def said(topic: Topic) -> Explanation:
    return say(topic, now(), None, {})


def words(explanation: Explanation) -> str:
    return " ".join(text for section in explanation.sections for text in section.paragraphs)


@pytest.mark.parametrize("row", CEILINGS, ids=lambda row: row.id)
def test_every_ceiling_explains_itself(row: Ceiling) -> None:
    assert find(row.id) is find(row.title) is find(row.id.upper().replace("-", " ")) is row
    explanation = said(row)
    assert explanation.sections[0].name == "Here now"
    assert "How counted" in [section.name for section in explanation.sections]
    assert explanation.sections[0].paragraphs
    assert row.words
    assert set(row.words.keys) <= set(BY_KEY), "a sysctl without words of its own"
    assert all(key in words(explanation) for key in row.words.keys)


@pytest.mark.parametrize("key", BY_KEY)
def test_every_sysctl_explains_itself(key: str) -> None:
    row = BY_KEY[key]
    for way in (key, key.replace(".", "/"), "/proc/sys/" + key.replace(".", "/"), f" {key}\n"):
        assert find(way) is row
    explanation = said(row)
    assert key in words(explanation) or explanation.name in words(explanation)
    assert set(row.ceilings) <= set(ROWS)
    assert row.ceilings
    assert (f"sockmon prove {row.key}" in words(explanation)) == row.writable
    # What is gone from Linux is not there, what is not is either there or says why not.
    here = explanation.sections[0].paragraphs[0]
    assert ("is not there" in here) if row.until else re.search(r"= .", here)


@pytest.mark.parametrize("row", SYMPTOMS, ids=lambda row: row.name)
def test_every_symptom_explains_itself(row: Symptom) -> None:
    for name in (row.name, *row.also):
        assert find(name) is find(name.lower()) is row
    assert {clue.ceiling for clue in row.clues if clue.ceiling} <= set(ROWS)
    assert "It is" in [section.name for section in said(row).sections]


def test_every_mark_points_to_a_ceiling_that_there_is() -> None:
    assert {mark.ceiling for mark in KNOWN if mark.ceiling} <= set(ROWS)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("somaxconn", "net.core.somaxconn"),
        ("tcp_fin_timeout", "net.ipv4.tcp_fin_timeout"),
        ("ip_conntrack_max", "net.ipv4.ip_conntrack_max"),
        ("netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_max"),
        ("gc_thresh3", "net.ipv4.neigh.default.gc_thresh3"),
    ],
)
def test_a_key_may_be_short(text: str, name: str) -> None:
    row = find(text)
    assert isinstance(row, Tunable)
    assert row.key == name


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("2026/11/22 03:12:44 [crit] 812#0: accept4() failed (24: Too many open files)", "EMFILE"),
        ("socket: too many open files in system", "ENFILE"),
        ("VFS: file-max limit 11658 reached", "ENFILE"),
        ("dial tcp 10.0.0.9:5432: connect: cannot assign requested address", "EADDRNOTAVAIL"),
        ("bash: fork: retry: Resource temporarily unavailable", "EAGAIN"),
        ("connect() returned EADDRINUSE", "EADDRINUSE"),
        ("nf_conntrack: nf_conntrack: table full, dropping packet", "conntrack.drop"),
        ("neighbour: arp_cache: neighbor table overflow!", "table_fulls"),
        ("TCP: request_sock_TCP: Possible SYN flooding on port 0.0.0.0:80.", "TCPReqQFullDoCookies"),
        ("TcpExtListenOverflows", "ListenOverflows"),
        ("TcpExt.ListenDrops", "ListenDrops"),
        ("close-wait", "CLOSE_WAIT"),
        ("ports limit a server", "64K connections"),
        ("/etc/security/limits.conf", "limits.conf"),
    ],
)
def test_a_line_of_a_log_is_understood(text: str, name: str) -> None:
    row = find(text)
    assert isinstance(row, Symptom)
    assert row.name == name


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("acept-queue", "accept-queue"),
        ("tcp_fin_timout", "net.ipv4.tcp_fin_timeout"),
        ("max_user_watches", "fs.inotify.max_user_watches"),
        ("EMFIL", "EMFILE"),
        ("ports", "ephemeral-ports"),
        ("", "alone"),
        ("../../etc/passwd", "alone"),
        ("[red]\x1b[2J" * 99, "alone"),
    ],
)
def test_what_is_unknown_gets_the_nearest_names(text: str, hint: str) -> None:
    with pytest.raises(SockmonError) as failure:
        find(text)
    assert hint in failure.value.hint
    assert len(failure.value.message) < 120


def test_the_myths_are_answered_in_place() -> None:
    for name, answer in (
        ("tcp_fin_timeout", "does not shorten TIME_WAIT"),
        ("tcp_tw_recycle", "removed in Linux 4.12"),
        ("ip_conntrack_max", "net.netfilter.nf_conntrack_max"),
        ("fs.nr_open", "not limited to 64K"),
        ("ip_local_port_range", "does not limit a server"),
        ("somaxconn", "Raising it alone does nothing"),
        ("tcp_max_syn_backlog", "decides nothing"),
    ):
        assert answer in words(said(find(name)))


def test_the_founding_number_names_maps_and_ids_and_not_ports() -> None:
    explanation = said(find("32,720"))
    text = words(explanation)
    assert "vm.max_map_count" in text
    assert "pid_max" in text
    assert "not out of ports" in text
    assert "ephemeral-ports" not in text


def test_what_was_asked_for_never_reaches_the_terminal_raw() -> None:
    with pytest.raises(SockmonError) as refused:
        find("\x1b[31mred\u202e")
    assert refused.value.message == "nothing is called `\ufffd[31mred\ufffd`"


def test_a_number_that_nothing_explains_says_so() -> None:
    assert "Nothing is known" in said(Number(90_123_457, 90_123_457, False)).what


@pytest.mark.parametrize("width", [1, 24, 49, 50, 80, 300])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for name in [*names(), "28232"]:
        explanation = said(find(name))
        text = page(explanation.title, explanation.what, explanation.sections, width, colour=False)
        assert max(map(len, text.splitlines())) <= max(width, 20)
        assert "\x1b" not in text


def test_headings_fit_their_column() -> None:
    explanations = [everything(), *(said(find(name)) for name in [*names(), "28232", "90123457"])]
    assert max(len(section.name) for each in explanations for section in each.sections) <= 13


def test_a_sentence_begins_with_a_capital_where_it_begins_with_a_word() -> None:
    assert sentence("when full, SYNs are dropped") == "When full, SYNs are dropped."
    for code in (
        "accept() fails.",
        "net.core.somaxconn = 1.",
        "prlimit --pid PID.",
        "tcp_mem is global.",
        "sysctl x=1.",
    ):
        assert sentence(code) == code


def test_a_row_without_words_has_no_sections() -> None:
    assert list(sections(replace(CEILINGS[0], words=None))) == []


def test_a_machine_that_cannot_be_looked_at_is_still_explained() -> None:
    blind = Look(None, None, {}, "this machine could not be looked at: no /proc")
    for name in ("process-fds", "somaxconn", "EAGAIN", "28232"):
        assert "could not be looked at" in words(say(find(name), blind, None, {}))


def test_the_remedy_of_the_cause_comes_first() -> None:
    full = snapshot(0.0, process(fds=1024), netns=(netns(listeners=(listener(queue=200),)),))
    assessor = Assessor()
    report = (assessor.add(full), assessor.add(msgspec.structs.replace(full, at=1.0)))[1].report
    explanation = say(find("ListenOverflows"), Look(report, full, {"TcpExt.ListenOverflows": 14}), None, {})
    here, first = explanation.sections[1:3]
    assert here.name == "Here now"
    assert here.paragraphs[0] == "TcpExt.ListenOverflows 14 since the kernel counts"
    assert "✖ HIT 1,024 of 1,024 descriptors, 100 %, nginx[1044]" in here.paragraphs[1]
    assert first.name == "Do this first"
    assert "prlimit" in first.paragraphs[0]


def test_the_labs_of_a_ceiling_are_named() -> None:
    explanation = say(ROWS["accept-queue"], now(), None, {"accept-queue": ["sockmon lab run accept-queue: x"]})
    assert Section("See it happen", ("sockmon lab run accept-queue: x",)) in explanation.sections


def sockmon(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sockmon", "explain", *argv]
    return subprocess.run(command, capture_output=True, text=True, env=child_environment(), timeout=60)


def test_the_command_line() -> None:
    done = sockmon("accept", "queue")
    assert done.returncode == 0
    assert "How it shows" in done.stdout
    assert "\x1b" not in done.stdout
    found = json.loads(sockmon("EAGAIN", "--json").stdout)
    assert list(found) == ["schema", "kind", "name", "title", "what", "sections"]
    assert found["name"] == "EAGAIN"
    listed = sockmon().stdout
    assert all(name in listed for name in names())


@pytest.mark.parametrize(
    ("argv", "hint"), [(["acept-queue"], "accept-queue"), (["somaxconn", "--netns", "nowhere"], "nowhere")]
)
def test_what_goes_wrong_is_said_on_stderr(argv: list[str], hint: str) -> None:
    done = sockmon(*argv)
    assert (done.returncode, done.stdout) == (1, "")
    assert hint in done.stderr
    assert "Traceback" not in done.stderr


def on_terminal(columns: int, **environment: str) -> Iterator[str]:
    controller, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
    kept = {name: value for name, value in child_environment().items() if name not in ("COLUMNS", "NO_COLOR")}
    command = [sys.executable, "-m", "sockmon", "explain", "tcp_tw_recycle"]
    done = subprocess.Popen(command, stdout=terminal, env=kept | {"TERM": "xterm"} | environment)
    os.close(terminal)
    with os.fdopen(controller, "rb", closefd=True) as screen:
        text = b""
        while True:
            try:
                part = screen.read1(4096)
            except OSError:
                break
            text += part
    assert done.wait(30) == 0
    yield from text.decode().splitlines()


def test_a_terminal_gets_colour_and_its_own_width() -> None:
    lines = list(on_terminal(60))
    plain = [re.sub(r"\x1b\[\d*m", "", line) for line in lines]
    assert lines != plain
    assert 50 < max(map(len, plain)) <= 60
    assert not any("\x1b" in line for line in on_terminal(60, NO_COLOR="1"))


def test_it_needs_no_screen() -> None:
    code = "import sys, sockmon.explain; print([n for n in ('textual', 'rich') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=child_environment())
    assert done.stdout.strip() == "[]", done.stderr


def test_no_two_things_have_the_same_name() -> None:
    assert len(set(names())) == len(names())
    assert len(BY_KEY) == sum(len(row.keys) for row in TUNABLES)
