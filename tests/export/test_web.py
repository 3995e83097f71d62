"""The metrics over a real HTTP connection: who may read them, and what a bad client can do."""

from __future__ import annotations

import base64
import http.client
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import bcrypt
import pytest

from sockmon.errors import SockmonError
from sockmon.export import web
from sockmon.export.web_config import BadWebConfig, WebConfig, load

HASH = bcrypt.hashpw(b"secret", bcrypt.gensalt(4)).decode()


@contextmanager
def served(config: WebConfig | None = None, address: str = "127.0.0.1") -> Iterator[web.MetricsServer]:
    server = web.MetricsServer(
        web.Listen(address, 0), lambda accept: (b"up 1\n", "text/plain"), config or WebConfig()
    )
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def get(
    server: web.MetricsServer, path: str = "/metrics", method: str = "GET", **headers: str
) -> tuple[int, bytes]:
    with closing(http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=10)) as connection:
        connection.request(method, path, headers=headers)
        reply = connection.getresponse()
        return reply.status, reply.read()


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


def test_paths_and_methods() -> None:
    with served() as server:
        assert get(server) == (200, b"up 1\n")
        assert get(server, "/metrics?name=up") == (200, b"up 1\n")
        assert get(server, method="HEAD") == (200, b"")
        assert b"/metrics" in get(server, "/")[1]
        assert get(server, "/etc/passwd")[0] == 404
        for method in ("POST", "PUT", "DELETE", "PATCH"):
            assert get(server, method=method)[0] == 501


def test_every_address_is_ipv4_and_ipv6() -> None:
    with served(address="") as server:
        assert get(server)[0] == 200


def test_a_password_is_needed(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    path.write_text(f"basic_auth_users:\n  scraper: {HASH}\n")
    with served(load(str(path))) as server:
        assert get(server)[0] == 401
        assert get(server, Authorization=basic("scraper:secret")) == (200, b"up 1\n")
        for wrong in (
            basic("scraper:Secret"),
            basic("other:secret"),
            basic("scraper"),
            "Basic %%%",
            "Bearer x",
            "",
        ):
            assert get(server, Authorization=wrong)[0] == 401
        assert get(server, Authorization=basic("scraper:" + "x" * 500))[0] == 401


def test_tls(tmp_path: Path) -> None:
    command = "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -keyout key.pem -out cert.pem"
    try:
        subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl")
    path = tmp_path / "web.yml"
    path.write_text("tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n")
    context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
    context.check_hostname = False
    with served(load(str(path))) as server:
        place = ("127.0.0.1", server.server_port)
        with closing(http.client.HTTPSConnection(*place, context=context, timeout=10)) as connection:
            connection.request("GET", "/metrics")
            assert connection.getresponse().read() == b"up 1\n"
        # A client without TLS is no fault, and the next one is served.
        with closing(socket.create_connection(place)) as plain:
            plain.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            with suppress(ConnectionResetError):
                assert b"up 1" not in plain.recv(100)
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.maximum_version = ssl.TLSVersion.TLSv1_2
        with closing(http.client.HTTPSConnection(*place, context=old, timeout=10)) as connection:
            connection.request("GET", "/metrics")
            assert connection.getresponse().status == 200


def test_silent_clients_do_not_use_it_up() -> None:
    with served() as server, ExitStack() as stack:
        place = ("127.0.0.1", server.server_port)
        silent = [
            stack.enter_context(closing(socket.create_connection(place))) for _ in range(web.MAX_CONNECTIONS)
        ]
        with closing(socket.create_connection(place, timeout=10)) as one_more:
            one_more.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            assert one_more.recv(100).startswith(b"HTTP/1.1 503")
        for client in silent:
            client.close()
        while get(server)[0] != 200:
            pass


@pytest.mark.parametrize(
    "request_",
    [
        b"\x00" * 4000,
        b"GET\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"G" * 70_000,
        b"GET /metrics HTTP/1.1\r\n" + b"a:b\r\n" * 300,
    ],
)
def test_garbage_gets_no_page_and_harms_nothing(request_: bytes) -> None:
    with served() as server:
        with closing(socket.create_connection(("127.0.0.1", server.server_port), timeout=10)) as client:
            client.sendall(request_ + b"\r\n\r\n")
            client.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                assert b"up 1" not in client.recv(1000)
        assert get(server)[0] == 200


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("127.0.0.1:9768", ("127.0.0.1", 9768)),
        ("9768", ("127.0.0.1", 9768)),
        ("[::1]:1", ("::1", 1)),
        (":80", ("", 80)),
        ("0.0.0.0:80", ("0.0.0.0", 80)),
    ],
)
def test_where_to_listen(text: str, place: tuple[str, int]) -> None:
    found = web.parse_listen(text)
    assert found == place
    assert found.is_everywhere == (place[0] in ("", "0.0.0.0"))


@pytest.mark.parametrize(
    "text", ["", "x:1", "127.0.0.1:", "127.0.0.1:99999", "localhost:80", "[::1]", "1:2:3:x", "١"]
)
def test_what_is_no_place_to_listen(text: str) -> None:
    with pytest.raises(SockmonError, match="not an address and a port"):
        web.parse_listen(text)


def test_a_port_in_use_is_named() -> None:
    with (
        served() as server,
        pytest.raises(SockmonError, match=f"cannot listen on 127.0.0.1 port {server.server_port}"),
    ):
        web.MetricsServer(web.Listen("127.0.0.1", server.server_port), lambda accept: (b"", ""), WebConfig())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a: [", "is not YAML"),
        ("- 1", "is not a mapping"),
        ("basic_auth_user: {}", "basic_auth_user is not supported"),
        ("http_server_config: {http2: true}", "http_server_config is not supported"),
        ("basic_auth_users: {a: secret}", "password of 'a' is not a bcrypt hash"),
        ("basic_auth_users: [a]", "not a mapping"),
        ("tls_server_config: {cert_file: x}", "needs key_file"),
        ("tls_server_config: {cert_file: x, key_file: y}", "certificates cannot be used"),
        ("tls_server_config: {ciphers: [a]}", "tls_server_config.ciphers is not supported"),
    ],
)
def test_a_setting_that_would_have_no_effect_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "web.yml"
    path.write_text(content)
    with pytest.raises(BadWebConfig, match=message):
        load(str(path))


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadWebConfig, match="cannot be read: No such file"):
        load(str(tmp_path / "none.yml"))
