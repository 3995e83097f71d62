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
from functools import lru_cache

import msgspec
import pytest

from sockmon import misconceptions
from sockmon.assess import Assessor
from sockmon.ceilings import CEILINGS, Ceiling
from sockmon.cli.explain import explain, observe
from sockmon.cli.text_page import render_page
from sockmon.document import Section, sentence
from sockmon.errors import SockmonError
from sockmon.explain.explanation import Explanation, build_explanation, index
from sockmon.explain.observation import Observation
from sockmon.explain.plateaus import Number
from sockmon.explain.plateaus.well_known import WELL_KNOWN
from sockmon.explain.symptoms import SYMPTOMS, Symptom
from sockmon.explain.topics import Topic, find, names
from sockmon.guides import GUIDES
from sockmon.kernel.netstat import COUNTERS
from sockmon.tunables import BY_KEY, REMOVED, TUNABLES
from sockmon.tuning.planning.naming import NamedKey
from tests.agent.private_host import in_private_host, namespaces, ports
from tests.netns import child_environment
from tests.snapshots import listener, netns, process, snapshot

ROWS = {row.id: row for row in CEILINGS}


@lru_cache
def now() -> Observation:
    return observe(None, BY_KEY)


def explanation_of(topic: Topic) -> Explanation:
    return build_explanation(topic, now(), {})


def text_of(explanation: Explanation) -> str:
    return " ".join(text for section in explanation.sections for text in section.paragraphs)


@pytest.mark.parametrize("row", CEILINGS, ids=lambda row: row.id)
def test_every_ceiling_explains_itself(row: Ceiling) -> None:
    assert find(row.id) is find(row.title) is find(row.id.upper().replace("-", " ")) is row
    explanation = explanation_of(row)
    assert explanation.sections[0].name == "Now"
    assert "Measurement" in [section.name for section in explanation.sections]
    assert explanation.sections[0].paragraphs
    assert set(row.manual.sysctls) <= set(BY_KEY), "a sysctl without words of its own"
    assert all(key in text_of(explanation) for key in row.manual.sysctls)


@pytest.mark.parametrize("key", BY_KEY)
def test_every_sysctl_explains_itself(key: str) -> None:
    row = BY_KEY[key]
    for way in (key, key.replace(".", "/"), "/proc/sys/" + key.replace(".", "/"), f" {key}\n"):
        assert find(way) == NamedKey(row.key if key in row.aliases else key, row)
    explanation = explanation_of(find(key))
    assert explanation.title.startswith(key if key not in row.aliases else row.key)
    assert key in text_of(explanation) or explanation.name in text_of(explanation)
    assert set(row.ceilings) <= set(ROWS)
    assert row.ceilings
    assert (f"sockmon prove {explanation.name}" in text_of(explanation)) == row.writable
    current = explanation.sections[0].paragraphs[0]
    if row.kind not in ("limit", "cgroup limit"):
        assert current.startswith((f"{row.key} = ", f"{row.key}: "))


@pytest.mark.parametrize("row", SYMPTOMS, ids=lambda row: row.name)
def test_every_symptom_explains_itself(row: Symptom) -> None:
    for name in (row.name, *row.other_names):
        assert find(name) is find(name.lower()) is row
    assert {clue.ceiling for clue in row.causes if clue.ceiling} <= set(ROWS)
    assert "Causes" in [section.name for section in explanation_of(row).sections]


CONNTRACK = (
    *("clashres", "found", "new", "invalid", "ignore", "delete", "chainlength", "insert", "insert_failed", "drop"),
    *("early_drop", "icmp_error", "expect_new", "expect_create", "expect_delete", "search_restart"),
)
"""The columns of /proc/net/stat/nf_conntrack."""
OTHERS = ("arp_cache.table_fulls", "ndisc_cache.table_fulls", "softnet.dropped", "softnet.time_squeeze")


@pytest.mark.parametrize("name", [*COUNTERS, *(f"conntrack.{name}" for name in CONNTRACK), *OTHERS])
def test_every_counter_that_is_read_is_explained(name: str) -> None:
    row = find(name)
    assert isinstance(row, Symptom)
    assert row.kind == "counter"


def test_the_counters_that_prove_a_cause_are_shown_with_the_error() -> None:
    bare = Observation(None, None, {"TcpExt.ListenOverflows": 14, "Tcp.OutRsts": 3}, "not read")
    assert "TcpExt.ListenOverflows: 14 since boot" in text_of(build_explanation(find("ETIMEDOUT"), bare, {}))
    assert "Tcp.OutRsts: 3 since boot" in text_of(build_explanation(find("ECONNRESET"), bare, {}))


def test_every_plateau_names_an_existing_ceiling() -> None:
    assert {plateau.ceiling for plateau in WELL_KNOWN if plateau.ceiling} <= set(ROWS)


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
    named = find(text)
    assert isinstance(named, NamedKey)
    assert named.key == name


@pytest.mark.parametrize(
    "text",
    [
        "sysctl: cannot stat /proc/sys/net/ipv4/tcp_tw_recycle: No such file or directory",
        "systemd-sysctl: Couldn't write '1' to 'net/ipv4/tcp_tw_recycle', ignoring: No such file or directory",
    ],
)
def test_a_message_about_a_key_that_does_not_exist_leads_to_the_key(text: str) -> None:
    named = find(text)
    assert isinstance(named, NamedKey)
    assert (named.key, named.kind) == ("net.ipv4.tcp_tw_recycle", "removed")
    assert not isinstance(find("cannot stat /proc/sys/net/ipv4/no_such_key: No such file or directory"), NamedKey)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("socket: too many open files in system", "ENFILE"),
        ("connect() returned EADDRINUSE", "EADDRINUSE"),
        ("TcpExtListenOverflows", "ListenOverflows"),
        ("TcpExt.ListenDrops", "ListenDrops"),
        ("close-wait", "CLOSE_WAIT"),
        ("ports limit a server", "64K connections"),
        ("/etc/security/limits.conf", "limits.conf"),
    ],
)
def test_other_ways_to_write_a_name_are_understood(text: str, name: str) -> None:
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
        ("", "without an argument"),
        ("../../etc/passwd", "without an argument"),
        ("[red]\x1b[2J" * 99, "without an argument"),
    ],
)
def test_an_unknown_name_gets_the_nearest_names(text: str, hint: str) -> None:
    with pytest.raises(SockmonError) as failure:
        find(text)
    assert hint in failure.value.hint
    assert len(failure.value.message) < 120


def test_a_misconception_is_corrected_in_place() -> None:
    for name, answer in (
        ("tcp_fin_timeout", misconceptions.TIME_WAIT_LENGTH),
        ("tcp_tw_recycle", misconceptions.TW_RECYCLE),
        ("ip_conntrack_max", misconceptions.CONNTRACK_OLD_NAME),
        ("fs.nr_open", misconceptions.DESCRIPTORS_64K),
        ("ip_local_port_range", misconceptions.SERVER_PORTS),
        ("somaxconn", misconceptions.SOMAXCONN_ALONE),
        ("tcp_max_syn_backlog", misconceptions.SYN_BACKLOG),
    ):
        assert answer in text_of(explanation_of(find(name)))


@pytest.mark.parametrize("name", [name for name in vars(misconceptions) if name.isupper()])
def test_a_shared_misconception_is_shown_in_two_places_at_least(name: str) -> None:
    text = vars(misconceptions)[name]
    manuals = [row.manual for row in CEILINGS]
    shown = [text in manual.misconceptions for manual in manuals]
    shown += [text in row.misconceptions for row in TUNABLES]
    shown += [text in gone.misconceptions for gone in REMOVED]
    shown += [text == plateau.misconception for plateau in WELL_KNOWN]
    shown += [text in (row.description, *row.misconceptions) for row in SYMPTOMS]
    shown += [text in step.misconceptions for guide in GUIDES for step in guide.steps]
    assert sum(shown) > 1


def test_32720_points_to_maps_and_pids_and_not_to_ports() -> None:
    explanation = explanation_of(find("32,720"))
    text = text_of(explanation)
    assert "vm.max_map_count" in text
    assert "pid_max" in text
    assert "not out of ports" in text
    assert "ephemeral-ports" not in text


@pytest.mark.fault("U1")
def test_the_argument_is_sanitized_in_the_error() -> None:
    with pytest.raises(SockmonError) as refused:
        find("\x1b[31mred\u202e")
    assert refused.value.message == "no match for `\ufffd[31mred\ufffd`"


def test_a_number_without_a_known_limit() -> None:
    assert "No known limit stops at 90,123,457" in explanation_of(Number(90_123_457, 90_123_457, False)).what


def explained_next_to_a_container() -> object:
    """Explain the number at which the ports of another network namespace are full: everywhere, here and there."""
    with namespaces(ports) as (pid,):
        places = (None, str(os.getpid()), str(pid))
        return [{row.name: row.paragraphs for row in explain("100", place).sections} for place in places]


@pytest.mark.usefixtures("needs_userns")
def test_a_limit_of_a_container_that_is_reached_at_the_number_is_named() -> None:
    everywhere, here, there = in_private_host(explained_next_to_a_container)
    assert re.match(
        r"ephemeral ports: . CRIT 96 of 100 ports, 96 %, \S+\[\d+\]: 127", everywhere["Reached now"][0]
    )
    assert "Reached now" not in here
    assert re.match(r"ephemeral ports: . CRIT 96 of 100 ports, 96 %, 127", there["Reached now"][0])


@pytest.mark.parametrize("width", [1, 24, 49, 50, 80, 300])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    for name in [*names(), "28232"]:
        explanation = explanation_of(find(name))
        text = render_page(explanation.title, explanation.what, explanation.sections, width, colour=False)
        assert max(map(len, text.splitlines())) <= max(width, 20)
        assert "\x1b" not in text


def test_headings_fit_their_column() -> None:
    explanations = [index(), *(explanation_of(find(name)) for name in [*names(), "28232", "90123457"])]
    assert max(len(section.name) for each in explanations for section in each.sections) <= 14


def test_a_sentence_begins_with_a_capital_unless_it_begins_with_code() -> None:
    assert sentence("when full, SYNs are dropped") == "When full, SYNs are dropped."
    for code in (
        "accept() fails.",
        "net.core.somaxconn = 1.",
        "prlimit --pid PID.",
        "tcp_mem is global.",
        "sysctl x=1.",
        "web-server[2] has 201 threads.",
    ):
        assert sentence(code) == code


def test_a_machine_that_cannot_be_read_is_still_explained() -> None:
    blind = Observation(None, None, {}, "this machine could not be read: no /proc")
    for name in ("process-fds", "somaxconn", "EAGAIN", "28232"):
        assert "could not be read" in text_of(build_explanation(find(name), blind, {}))


def test_the_remedy_of_the_cause_comes_first() -> None:
    full = snapshot(0.0, process(fds=1024), netns=(netns(listeners=(listener(queue=200),)),))
    assessor = Assessor()
    report = (assessor.add(full), assessor.add(msgspec.structs.replace(full, at=1.0)))[1].report
    explanation = build_explanation(
        find("ListenOverflows"), Observation(report, full, {"TcpExt.ListenOverflows": 14}), {}
    )
    here, first = explanation.sections[1:3]
    assert here.name == "Now"
    assert here.paragraphs[0] == "TcpExt.ListenOverflows: 14 since boot"
    assert "✖ HIT 1,024 of 1,024 descriptors, 100 %, nginx[1044]" in here.paragraphs[1]
    assert first.name == "First remedy"
    assert "prlimit" in first.paragraphs[0]


def test_the_evidence_of_a_limit_is_shown() -> None:
    full = snapshot(0.0, process(fds=1024))
    report = Assessor().add(full).report
    explanation = build_explanation(ROWS["process-fds"], Observation(report, full, {}), {})
    (shown,) = [section.paragraphs for section in explanation.sections if section.name == "Evidence"]
    worst = next(row for row in report.readings if row.ceiling == "process-fds")
    assert shown == tuple(map(sentence, worst.evidence))


def test_the_labs_of_a_ceiling_are_named() -> None:
    explanation = build_explanation(
        ROWS["accept-queue"], now(), {"accept-queue": ["sockmon lab run accept-queue: x"]}
    )
    assert Section("Labs", ("sockmon lab run accept-queue: x",)) in explanation.sections


def sockmon(*argv: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sockmon", "explain", *argv]
    return subprocess.run(command, capture_output=True, text=True, env=child_environment(), timeout=60)


def test_the_command_line() -> None:
    done = sockmon("accept", "queue")
    assert done.returncode == 0
    assert "Symptoms" in done.stdout
    assert "\x1b" not in done.stdout
    found = json.loads(sockmon("EAGAIN", "--json").stdout)
    assert list(found) == ["schema", "kind", "name", "title", "what", "sections"]
    assert found["name"] == "EAGAIN"
    listed = " ".join(sockmon().stdout.split())
    assert all(name in listed for name in names())


@pytest.mark.parametrize(
    ("argv", "hint", "code"),
    [(["acept-queue"], "accept-queue", 64), (["somaxconn", "--netns", "nowhere"], "nowhere", 1)],
)
def test_errors_are_printed_on_stderr(argv: list[str], hint: str, code: int) -> None:
    done = sockmon(*argv)
    assert (done.returncode, done.stdout) == (code, "")
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


def test_explain_does_not_import_the_screen() -> None:
    code = "import sys, sockmon.explain.explanation; print([n for n in ('textual', 'rich') if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=child_environment())
    assert done.stdout.strip() == "[]", done.stderr


def test_no_two_things_have_the_same_name() -> None:
    assert len(set(names())) == len(names())
    assert len(BY_KEY) == sum(len(row.keys) for row in TUNABLES)
