"""Lines as programs log them (`log_lines/`): each leads to the cause that the line itself names."""

from __future__ import annotations

import pytest

from sockmon.ceilings import TITLES
from sockmon.explain.explanation import build_explanation
from sockmon.explain.log_line import is_log_line, read_log_line
from sockmon.explain.observation import Observation
from sockmon.explain.ranking import rank_causes
from sockmon.explain.symptoms import Symptom
from sockmon.explain.topics import find
from tests.log_lines import LINES
from tests.log_lines.line import Line

BLIND = Observation(None, None, {}, "not read")


@pytest.mark.parametrize("line", LINES, ids=lambda line: line.text[:60])
def test_a_line_leads_to_the_cause_that_it_names(line: Line) -> None:
    row = find(line.text)
    assert isinstance(row, Symptom)
    assert row.name == line.symptom
    assert is_log_line(line.text, row)
    first = rank_causes(row.causes, read_log_line(line.text), (), BLIND)[0]
    assert line.cause in (first.ceiling, first.title)
    explanation = build_explanation(row, BLIND, {}, read_log_line(line.text))
    causes = next(each.paragraphs for each in explanation.sections if each.name == "Causes")
    assert causes[0].lower().startswith(TITLES.get(line.cause, line.cause).lower())


@pytest.mark.parametrize(
    ("text", "port", "path", "count"),
    [
        ("listen tcp :10254: bind: address already in use", 10254, "", None),
        ("listen tcp [::1]:8080: bind: address already in use", 8080, "", None),
        ("listen EADDRINUSE: address already in use :::3000", 3000, "", None),
        ("cannot bind socket (Address already in use) [0.0.0.0:80]", 80, "", None),
        ("Is another postmaster already running on port 5432?", 5432, "", None),
        ("read udp 10.0.0.5:39142->10.96.0.10:53: i/o timeout", 53, "", None),
        ("connect() to 10.0.0.9:8080 failed (111), client: 10.0.0.1, host: web:80", 8080, "", None),
        ("connect() to unix:/run/a.sock:/ failed, upstream: http://b:80", None, "/run/a.sock", None),
        ("dial unix /run/docker.sock: connect: connection refused", None, "/run/docker.sock", None),
        ("2026-11-28T20:43:54.123 server.go:112 errno=11 connection refused", None, "", None),
        ("28 Nov 16:32:29.429 # bind: Address already in use", None, "", None),
        ("bind 10.0.0.1:99999: Address already in use", None, "", None),
        (
            "write unixgram @->/run/systemd/journal/socket: write: no buffer",
            None,
            "/run/systemd/journal/socket",
            None,
        ),
        ("error while attempting to bind on address ('0.0.0.0', 8080): in use", 8080, "", None),
        ("bash: /dev/tcp/127.0.0.1/8080: Connection refused", 8080, "", None),
        ("bind(3, {sa_family=AF_INET, sin_port=htons(10254)}, 16) = -1 EADDRINUSE", 10254, "", None),
        ('connect(3, {sa_family=AF_UNIX, sun_path="/run/app.sock"}, 16) = -1 EAGAIN', None, "/run/app.sock", None),
        ("Binding [haproxy.cfg:36] for frontend fe: cannot bind socket for [0.0.0.0:80].", 80, "", None),
        ("[haproxy.main()] FD limit (1024) too low for maxconn=2000/maxsock=4031.", None, "", 1024),
        ("failed to create new OS thread (have 33 already; errno=11)", None, "", 33),
    ],
)
def test_what_a_line_names(text: str, port: int | None, path: str, count: int | None) -> None:
    line = read_log_line(text)
    assert (line.port, line.path, line.count) == (port, path, count)


def test_a_name_is_not_a_line() -> None:
    for name in ("EADDRINUSE", "address already in use", "Too many open files"):
        row = find(name)
        assert isinstance(row, Symptom)
        assert not is_log_line(name, row)


def test_a_hostile_line_is_made_safe() -> None:
    line = read_log_line("dial unix /run/\x1b[31m\u202e.sock: connect: connection refused")
    assert "\x1b" not in line.path + line.text
    assert "\u202e" not in line.path + line.text
