"""The metrics over a real HTTP connection: who may read them, and what a bad client can do."""

from __future__ import annotations

import base64
import http.client
import resource
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager, suppress
from pathlib import Path

import bcrypt
import pytest

from sockmon.errors import SockmonError
from sockmon.export import web
from sockmon.export.web_config import MAX_BYTES, BadWebConfig, WebConfig, load
from tests.waiting import PATIENCE, until

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


def test_a_password_is_checked_by_bcrypt_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A scrape must not cost the tenth of a second that bcrypt takes on purpose."""
    checked = []
    real = bcrypt.checkpw

    def check(password: bytes, hashed: bytes) -> bool:
        checked.append(password)
        return real(password, hashed)

    monkeypatch.setattr(bcrypt, "checkpw", check)
    config = WebConfig(users={"scraper": HASH.encode()})
    assert [config.allows("scraper", "secret") for _ in range(5)] == [True] * 5
    assert len(checked) == 1
    assert [config.allows("scraper", "Secret"), config.allows("other", "secret")] == [False, False]
    assert len(checked) == 3
    assert config.allows("scraper", "secret")


def certificate(folder: Path, name: str = "cert") -> None:
    """Make a certificate that is its own authority, NAME.pem, and its key, NAME-key.pem."""
    made = ["-subj", "/CN=localhost", "-keyout", f"{name}-key.pem", "-out", f"{name}.pem"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *made]
    try:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("needs openssl")


TLS = "tls_server_config:\n  cert_file: cert.pem\n  key_file: cert-key.pem\n"


def test_a_client_needs_its_certificate(tmp_path: Path) -> None:
    for name in ("cert", "ours", "other"):
        certificate(tmp_path, name)
    path = tmp_path / "web.yml"
    path.write_text(f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ours.pem\n")

    def answer(name: str) -> bytes:
        context = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        context.check_hostname = False
        if name:
            context.load_cert_chain(tmp_path / f"{name}.pem", tmp_path / f"{name}-key.pem")
        with closing(
            http.client.HTTPSConnection("127.0.0.1", server.server_port, context=context, timeout=10)
        ) as connection:
            connection.request("GET", "/metrics")
            return connection.getresponse().read()

    with served(load(str(path))) as server:
        assert answer("ours") == b"up 1\n"
        for name in ("", "other"):
            with pytest.raises(OSError):  # noqa: PT011 - an alert, or a connection that was closed
                answer(name)
        assert answer("ours") == b"up 1\n"


def test_tls(tmp_path: Path) -> None:
    certificate(tmp_path)
    path = tmp_path / "web.yml"
    path.write_text(TLS)
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


def test_a_client_that_sends_a_byte_now_and_then_is_no_exception(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "REQUEST_SECONDS", 0.5)
    with served() as server, ExitStack() as stack:
        place = ("127.0.0.1", server.server_port)
        slow = [stack.enter_context(closing(socket.create_connection(place))) for _ in range(web.MAX_CONNECTIONS)]
        for client in slow:
            client.sendall(b"GET /metrics HTTP/1.1\r\n")

        def drip() -> bool:
            for client in slow:
                with suppress(OSError):
                    client.sendall(b"a: b\r\n")
            return get(server)[0] == 200

        until(drip)


def test_a_page_that_cannot_be_made_is_an_answer_and_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    def page(accept: str) -> tuple[bytes, str]:
        raise KeyError(accept)

    with served() as server:
        server.page = page
        status, body = get(server, Accept="a page of which nothing is known")
        assert status == 500
        assert b"the metrics cannot be written: failed: KeyError" in body
        assert "a page of which nothing is known" in caplog.text


def test_it_answers_while_no_thread_can_be_started(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with served() as server:
        with monkeypatch.context() as patch:
            patch.setattr(threading.Thread, "start", refuse)
            assert [get(server)[0] for _ in range(2 * web.MAX_CONNECTIONS)] == [200] * 2 * web.MAX_CONNECTIONS
        assert get(server)[0] == 200


def test_without_a_free_descriptor_it_waits_and_answers_later(monkeypatch: pytest.MonkeyPatch) -> None:
    tried = []
    accept = web.MetricsServer.get_request

    def count(server: web.MetricsServer) -> tuple[socket.socket, object]:
        tried.append(1)
        return accept(server)

    monkeypatch.setattr(web.MetricsServer, "get_request", count)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with served() as server, socket.socket() as client:
        resource.setrlimit(resource.RLIMIT_NOFILE, (client.fileno() + 1, hard))
        try:
            client.connect(("127.0.0.1", server.server_port))
            client.sendall(b"GET /metrics HTTP/1.0\r\n\r\n")
            until(lambda: len(tried) > 2)
            before = len(tried)
            time.sleep(0.5)
            assert len(tried) - before < 10
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        client.settimeout(PATIENCE)
        assert client.recv(100).startswith(b"HTTP/1.0 200")


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
        ("[::ffff:0.0.0.0]:80", ("::ffff:0.0.0.0", 80)),
        ("[::ffff:127.0.0.1]:80", ("::ffff:127.0.0.1", 80)),
    ],
)
def test_where_to_listen(text: str, place: tuple[str, int]) -> None:
    found = web.parse_listen(text)
    assert found == place
    assert found.is_everywhere == (place[0] in ("", "0.0.0.0", "::ffff:0.0.0.0"))


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
        ("tls_server_config:", "tls_server_config is not a mapping"),
        ("basic_auth_users:", "basic_auth_users is not a mapping"),
        ("basic_auth_users: {}", "basic_auth_users has no user"),
        (f"basic_auth_users: {{a: '$2a$99${'a' * 53}'}}", "password of 'a' is not a bcrypt hash"),
        (f"basic_auth_users: {{a: '$2a$10${'!' * 53}'}}", "password of 'a' is not a bcrypt hash"),
        ("a: 2001-99-99", "is not YAML"),
        (f"{TLS}  min_version: [a]", "this min_version is not supported"),
        (f"{TLS}  client_auth_type: [a]", "this client_auth_type is not supported"),
        (f"{TLS}  client_auth_type: RequireAnyClientCert", "RequireAnyClientCert is not supported"),
        (f"{TLS}  client_auth_type: RequireAndVerifyClientCert", "needs client_ca_file"),
        (f"{TLS}  client_auth_type: VerifyClientCertIfGiven", "needs client_ca_file"),
        (f"{TLS}  client_ca_file: cert.pem", "client_ca_file has no effect without client_auth_type"),
        (f"{TLS}  client_ca_file: [a]", "client_ca_file is not the name of a file"),
        ('tls_server_config: {cert_file: "a\\0b", key_file: c}', "certificates cannot be used"),
    ],
)
def test_a_setting_that_would_have_no_effect_is_refused(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "web.yml"
    path.write_text(content)
    with pytest.raises(BadWebConfig, match=message):
        load(str(path))


def test_a_file_that_is_too_large_or_too_deep(tmp_path: Path) -> None:
    path = tmp_path / "web.yml"
    for content, message in (("#" * (MAX_BYTES + 1), "larger than 1 MB"), ("[" * 600, "is not YAML")):
        path.write_text(content)
        with pytest.raises(BadWebConfig, match=message):
            load(str(path))


def test_a_key_with_a_passphrase_is_refused_without_a_question(tmp_path: Path) -> None:
    certificate(tmp_path)
    command = "openssl rsa -aes128 -passout pass:abcd -in cert-key.pem -out locked.pem"
    subprocess.run(command.split(), cwd=tmp_path, check=True, capture_output=True)
    path = tmp_path / "web.yml"
    path.write_text("tls_server_config: {cert_file: cert.pem, key_file: locked.pem}")
    with pytest.raises(BadWebConfig, match="certificates cannot be used") as refused:
        load(str(path))
    assert "no passphrase" in refused.value.hint


def test_versions_of_tls_that_exclude_each_other(tmp_path: Path) -> None:
    certificate(tmp_path)
    path = tmp_path / "web.yml"
    path.write_text(f"{TLS}  min_version: TLS13\n  max_version: TLS12\n")
    with pytest.raises(BadWebConfig, match="max_version is older than min_version"):
        load(str(path))


def test_a_config_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(BadWebConfig, match="cannot be read: No such file"):
        load(str(tmp_path / "none.yml"))
