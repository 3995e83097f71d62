"""What a Prometheus can answer, and a fleet that is read from it."""

from __future__ import annotations

import base64
import gc
import json
import re
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from sockmon.errors import Misuse, SockmonError
from sockmon.fleet import prometheus
from sockmon.fleet.hosts import FleetHost
from sockmon.fleet.prometheus import PrometheusError, Server, server
from sockmon.fleet.reading import from_prometheus
from sockmon.fleet.trends import TREND_STEPS
from tests.waiting import PATIENCE

NOW = 7230.0
Row = tuple[dict[str, str], float]


class Fake(HTTPServer):
    """Answers queries by their first metric; remembers the headers of the last one."""

    answers: dict[str, list[Row]]
    raw: tuple[int, bytes] | None = None
    more_headers: dict[str, str]
    headers: dict[str, str]
    queries: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Fake

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        self.server.headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.queries.append(form["query"][0])
        status, body = self.server.raw or (
            200,
            json.dumps(self._answer(form["query"][0], form)).encode(),
        )
        self.send_response(status)
        for name, value in self.server.more_headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _answer(self, query: str, form: Mapping[str, list[str]]) -> Any:
        is_range = "start" in form
        times = [float(form[name][0]) for name in ("start", "end")] if is_range else []
        rows = next((rows for name, rows in self.server.answers.items() if name in query), [])
        rows = [row for row in rows if _is_named(query, row[0]["instance"])]
        found: list[Any] = [
            {"metric": labels, "values": [[at, str(value)] for at in times]}
            if is_range
            else {"metric": labels, "value": [NOW, str(value)]}
            for labels, value in rows
        ]
        return {"status": "success", "data": {"resultType": "matrix" if is_range else "vector", "result": found}}

    def log_message(self, format: str, *args: Any) -> None:
        pass


def _is_named(query: str, instance: str) -> bool:
    found = re.search(r'instance=~"([^"]*)"', query)
    return found is None or instance in found[1].split("|")


@contextmanager
def fake(
    answers: dict[str, list[Row]] | None = None, raw: tuple[int, bytes] | None = None
) -> Iterator[tuple[str, Fake]]:
    with Fake(("127.0.0.1", 0), Handler) as found:
        found.answers, found.raw, found.queries = answers or {}, raw, []
        found.more_headers, found.headers = {}, {}
        thread = threading.Thread(target=found.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{found.server_port}", found
        finally:
            found.shutdown()
            thread.join()


def host(name: str, **more: str) -> dict[str, str]:
    return {"instance": name, "job": "sockmon", **more}


def number(name: str, of: str, what: str, **more: str) -> dict[str, str]:
    return host(name, __name__=f"sockmon_{of}_{what}", **more)


ANSWERS: dict[str, list[Row]] = {
    "present_over_time": [(host(name, rack="r1"), 1) for name in ("fine", "sick", "warm", "old", "away")],
    "sockmon_verdict": [
        (host("fine", sockmon_verdict="ok"), 1),
        (host("sick", sockmon_verdict="hit"), 1),
        (host("warm", sockmon_verdict="warning"), 1),
        (host("old", sockmon_verdict="ok"), 1),
    ],
    "time() - sockmon_sample_timestamp": [(host("old"), 900), (host("fine"), 3)],
    "max by (instance) (sockmon_unknown_ceilings": [(host("sick"), 1)],
    "max by (instance)": [(host("sick"), 0.5), (host("old"), 0.4)],
    "sockmon_fullest_": [
        (number("fine", "fullest", "ratio", ceiling="pid-max"), 0.1),
        (number("sick", "fullest", "ratio", ceiling="accept-queue"), 1.0),
        (number("warm", "fullest", "ratio", ceiling="process-fds"), 0.85),
        (number("warm", "fullest", "used", ceiling="process-fds"), 85),
        (number("warm", "fullest", "limit", ceiling="process-fds"), 100),
        (number("warm", "fullest", "left_seconds", ceiling="process-fds"), 90),
    ],
    "topk by": [
        (number("old", "ceiling", "ratio", ceiling="pid-max"), 0.2),
        (number("old", "ceiling", "used", ceiling="pid-max"), 20),
    ],
    "count by (instance)": [(host("old"), 2)],
    "sockmon_subject_severity": [
        (number("sick", "subject", name, ceiling="accept-queue", subject=subject, netns="web"), value)
        for subject, numbers in ((":80", (0.5, 2, 4)), (":8080", (1.0, 4, 4)))
        for name, value in zip(("ratio", "used", "limit"), numbers, strict=True)
    ],
    "sockmon_ceiling_severity": [
        (host("sick", ceiling="accept-queue", sockmon_ceiling_severity="hit"), 1),
        (host("warm", ceiling="process-fds", sockmon_ceiling_severity="warning"), 1),
    ],
}  # fmt: skip
"""`old` has an exporter without the metrics of its fullest limit."""


def read(answers: dict[str, list[Row]], *matchers: str) -> tuple[FleetHost, ...]:
    with fake(answers) as (url, _):
        return from_prometheus(Server(url), matchers).hosts


def test_the_nearest_limit_is_first_and_what_is_not_known_is_before_what_is_fine() -> None:
    found = read(ANSWERS)
    assert [(each.name, each.state, each.severity) for each in found] == [
        ("sick", "live", "hit"),
        ("warm", "live", "warning"),
        ("old", "stale", "unknown"),
        ("away", "gone", "unknown"),
        ("fine", "live", "ok"),
    ]
    sick, warm, old, away, _ = found
    assert sick.nearest
    assert (sick.nearest.ceiling, sick.nearest.ratio, sick.unknown) == ("accept-queue", 1.0, 1)
    assert (sick.nearest.whole_subject, sick.nearest.used, sick.nearest.limit) == (":8080 (web)", 4, 4)
    assert warm.nearest
    assert (warm.nearest.used, warm.nearest.limit, warm.nearest.seconds_left, warm.seconds_left) == (
        85,
        100,
        90,
        90,
    )
    assert "none now" in away.reason
    assert "15 min old" in old.reason
    assert away.labels == {"job": "sockmon", "rack": "r1"}


def test_a_trend_ends_now_and_has_gaps() -> None:
    found = {each.name: each.trend for each in read(ANSWERS)}
    assert len(found["sick"]) == TREND_STEPS
    assert (found["sick"][0], found["sick"][-2:]) == (0.5, (0.5, 1.0))
    assert set(found["sick"][1:-2]) == {None}
    assert found["fine"] == (*[None] * (TREND_STEPS - 1), 0.1)
    assert found["away"] == ()


def test_a_host_with_an_older_exporter_has_the_same() -> None:
    old = next(each for each in read(ANSWERS) if each.name == "old")
    assert old.nearest
    assert (old.nearest.ceiling, old.nearest.ratio, old.nearest.used, old.unknown) == ("pid-max", 0.2, 20, 2)
    assert old.trend[-2:] == (0.4, 0.2)


def test_only_hosts_that_need_it_are_named() -> None:
    with fake(ANSWERS) as (url, found):
        from_prometheus(Server(url))
    named = [(query, *set(re.findall(r'instance=~"([^"]*)"', query))) for query in found.queries]
    assert [names for query, *names in named if query.startswith("sockmon_verdict")] == [[]]
    assert [names for query, *names in named if "topk" in query] == [["old"]]
    assert [names for query, *names in named if "warning|critical|hit" in query] == [["sick|warm"]] * 2


def test_matchers_are_in_every_query_and_anything_else_is_refused() -> None:
    with fake(ANSWERS) as (url, found):
        from_prometheus(Server(url), ['rack=~"a.*"', 'job="sockmon"'])
        assert all('rack=~"a.*",job="sockmon"' in query for query in found.queries)
    for bad in ("rack", 'rack="a"} or up{', "rack=a", 'rack="a\nb"'):
        with pytest.raises(Misuse, match="is not a matcher"):
            from_prometheus(Server("http://127.0.0.1:1"), [bad])


def test_the_age_of_a_host_whose_clock_is_ahead_is_not_known() -> None:
    ages: list[Row] = [(host("old"), -300), (host("fine"), -3)]
    found = {each.name: each.age for each in read({**ANSWERS, "time() - sockmon_sample_timestamp": ages})}
    assert (found["old"], found["fine"]) == (None, -3)


def test_hostile_labels_are_clean() -> None:
    hostile = host("a\x1b[31m", sockmon_verdict="hit\x00")
    (found,) = read({"sockmon_verdict": [(hostile, 1)]})
    assert "\x1b" not in found.name
    assert found.severity == "unknown"


def test_numbers_that_are_none() -> None:
    answers = {
        **ANSWERS,
        "sockmon_fullest_": [
            (number("warm", "fullest", "ratio", ceiling="process-fds"), 0.85),
            (number("warm", "fullest", "left_seconds", ceiling="process-fds"), float("inf")),
        ],
        "time() - sockmon_sample_timestamp": [(host("fine"), float("nan"))],
    }
    found = {each.name: each for each in read(answers)}
    assert found["warm"].seconds_left is None
    assert found["fine"].age is None


def vector(value: bytes) -> bytes:
    row = b'{"metric":{"instance":"a"},"value":' + value + b"}"
    return b'{"status":"success","data":{"resultType":"vector","result":[' + row + b"]}}"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ((200, b"<html>"), "does not speak the API"),
        ((200, b"[]"), "does not speak the API"),
        ((200, b'{"status":"error","error":"bad \\u001b[0m thing"}'), "refuses: bad"),
        ((200, b'{"status":"success","data":[]}'), "does not speak the API"),
        ((200, b'{"status":"success","data":{"resultType":"vector","result":[3]}}'), "does not speak the API"),
        (
            (200, b'{"status":"success","data":{"resultType":"vector","result":[{"metric":{},"value":[1,"x"]}]}}'),
            "API",
        ),
        ((400, b'{"status":"error","error":"no org id"}'), "refuses: no org id"),
        ((401, b"Unauthorized"), r"refuses: 401"),
        ((200, b'{"status":"success","data":{"resultType":"matrix","result":[]}}'), "answered with matrix"),
        ((200, b"[" * 200_000), "does not speak the API"),
        ((200, vector(b'[1e999,"1"]')), "does not speak the API"),
        ((200, vector(b"[1," + b"9" * 400 + b"]")), "does not speak the API"),
    ],
)
def test_a_server_that_refuses(raw: tuple[int, bytes], message: str) -> None:
    with fake(raw=raw) as (url, _), pytest.raises(PrometheusError, match=message) as refused:
        from_prometheus(Server(url))
    assert "\x1b" not in str(refused.value)


def test_a_server_that_does_not_answer() -> None:
    with pytest.raises(PrometheusError, match=r"does not answer: .*refused"):
        from_prometheus(Server("http://127.0.0.1:1"))
    assert gc.isenabled()


def test_an_answer_that_ends_too_early() -> None:
    with fake(raw=(200, b'{"status":')) as (url, found):
        found.more_headers["Content-Length"] = "1000"
        with pytest.raises(PrometheusError, match="does not answer: the answer ended 990 bytes too early"):
            from_prometheus(Server(url))


DRIPS = {
    "headers": (b"HTTP/1.1 200 OK\r\n", b"a: b\r\n"),
    "answers before the answer": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
    "a body": (b"HTTP/1.1 200 OK\r\nContent-Length: 60000\r\n\r\n", b" "),
    "a body in pieces": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    "the length of a piece": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
    "a refusal": (b"HTTP/1.1 500 no\r\nContent-Length: 60000\r\n\r\n", b" "),
}


@pytest.mark.parametrize("what", DRIPS)
def test_a_server_that_sends_a_byte_now_and_then(what: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prometheus, "TIMEOUT_SECONDS", 0.5)
    first, again = DRIPS[what]

    def drip(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with closing(connection), suppress(OSError):
            connection.recv(65536)
            connection.sendall(first)
            while True:
                connection.sendall(again)
                time.sleep(0.05)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=drip, args=(listener,), daemon=True)
        thread.start()
        with pytest.raises(PrometheusError, match=r"does not answer: no whole answer within 0.5 s|refuses: 500"):
            Server(f"http://127.0.0.1:{listener.getsockname()[1]}").query("up")
        thread.join(PATIENCE)
        assert not thread.is_alive(), "the connection was not closed"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_with_the_token(status: int) -> None:
    with fake(ANSWERS) as (other, not_asked), fake(raw=(status, b"")) as (url, found):
        found.more_headers["Location"] = f"{other}/api/v1/query"
        with pytest.raises(PrometheusError, match=f"refuses: {status}") as refused:
            from_prometheus(Server(url, {"Authorization": "Bearer abc"}))
    assert refused.value.hint == f"it redirects to {other}: name that address instead"
    assert not not_asked.headers


def test_credentials_and_tenant(tmp_path: Path) -> None:
    token, password = tmp_path / "token", tmp_path / "password"
    token.write_text("abc\nmore\n")
    password.write_text("me:secret\n")
    with fake(ANSWERS) as (url, found):
        from_prometheus(server(url, str(token), None, "team-a"))
        assert found.headers["authorization"] == "Bearer abc"
        assert found.headers["x-scope-orgid"] == "team-a"
        from_prometheus(server(url, str(password), None, None))
        assert found.headers["authorization"] == "Basic " + base64.b64encode(b"me:secret").decode()


def test_a_certificate_is_checked(tmp_path: Path) -> None:
    made = ["-subj", "/CN=x", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *made]
    try:
        subprocess.run(command, cwd=tmp_path, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with fake(ANSWERS) as (plain, found):
        found.socket = tls.wrap_socket(found.socket, server_side=True)
        url = plain.replace("http:", "https:")
        assert from_prometheus(server(url, None, str(tmp_path / "cert.pem"), None)).hosts
        with pytest.raises(PrometheusError, match=r"does not answer: .*certificate verify failed"):
            from_prometheus(server(url, None, None, None))


@pytest.mark.parametrize(
    "url", ["web:9090", "ftp://x", "http://", "http://me:secret@x", "", "http://[", "http://x:y", "http://x?y=1"]
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(Misuse) as refused:
        server(url, None, None, None)
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("content", "message"), [(None, "cannot be read"), ("", "no token"), ("a\x07b", "no token")]
)
def test_a_file_without_a_token(tmp_path: Path, content: str | None, message: str) -> None:
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
    with pytest.raises(SockmonError, match=message):
        server("http://x", str(path), None, None)
