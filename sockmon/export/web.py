"""The metrics over HTTP: GET alone, bounded in connections and in time, and no write path.

The metrics of a host that has no free task or descriptor matter most: a request for which no thread can be started
is answered in the thread that accepts them."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BufferedReader
from typing import Any, NamedTuple, cast

from sockmon import __version__
from sockmon.errors import SockmonError
from sockmon.export.web_config import WebConfig
from sockmon.fault_log import FAULTS
from sockmon.timed_reader import timed

DEFAULT_ADDRESS = "127.0.0.1"
MAX_CONNECTIONS = 16
"""Requests that are answered at the same time; a further one gets 503."""
REQUEST_SECONDS = 10.0
"""Time of a client for the handshake of TLS, for its whole request, and to take the page: a slow one holds a
thread no longer."""
REST_SECONDS = 0.2
"""Pause after a connection that could not be accepted: it waits on, and would be tried again at once."""

Page = Callable[[str], tuple[bytes, str]]
"""Header `Accept` → body and content type."""

_INDEX = b"""<!doctype html><title>sockmon</title><h1>sockmon</h1><p><a href="/metrics">Metrics</a></p>\n"""


class Listen(NamedTuple):
    """Where to listen."""

    address: str
    port: int

    @property
    def is_everywhere(self) -> bool:
        """Return whether these are all addresses of the host."""
        if not self.address:
            return True
        found = ipaddress.ip_address(self.address)
        # ::ffff:0.0.0.0 is every address of IPv4.
        return (getattr(found, "ipv4_mapped", None) or found).is_unspecified


def parse_listen(text: str) -> Listen:
    """Return `127.0.0.1:9768`, `[::1]:9768`, `:9768` (all addresses) or `9768` (loopback) in parts."""
    address, colon, port = text.rpartition(":")
    if not colon:
        address = DEFAULT_ADDRESS
    address = address.removeprefix("[").removesuffix("]") if address.startswith("[") else address
    with suppress(ValueError):
        if address:
            ipaddress.ip_address(address)
        if 0 <= int(port) <= 65535 and port.isascii():
            return Listen(address, int(port))
    raise SockmonError(f"{text!r} is not an address and a port", "such as 127.0.0.1:9768, [::1]:9768 or :9768")


class MetricsServer(ThreadingHTTPServer):
    """Serves `page` until `shutdown`; each request has a thread, of which there are MAX_CONNECTIONS at most."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 64

    def __init__(self, listen: Listen, page: Page, config: WebConfig) -> None:
        """Begin to listen; raise SockmonError if that is refused."""
        self.page = page
        self.config = config
        self._free = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.address_family = socket.AF_INET6 if ":" in listen.address or not listen.address else socket.AF_INET
        try:
            super().__init__((listen.address, listen.port), _Handler)
        except OSError as error:
            place = f"{listen.address or 'all addresses'} port {listen.port}"
            raise SockmonError(f"cannot listen on {place}: {error.strerror}") from error

    def server_bind(self) -> None:
        if self.address_family == socket.AF_INET6:
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        self.socket.bind(self.server_address)
        # That of the base class asks the name service for our name.
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = self.server_address[:2]  # type: ignore[assignment]

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; raise OSError, not at once, if it cannot be: as without a free descriptor."""
        try:
            return super().get_request()
        except OSError:
            time.sleep(REST_SECONDS)
            raise

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, or refuse if there are too many; in this one if none can be started."""
        if not self._free.acquire(blocking=False):
            with suppress(OSError):
                request.settimeout(0.1)
                request.sendall(
                    b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
                )
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except RuntimeError:
            self.process_request_thread(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def finish_request(self, request: Any, client_address: Any) -> None:
        """Begin TLS, which a slow client may delay, in the thread of the request."""
        request.settimeout(REQUEST_SECONDS)
        if self.config.tls is None:
            super().finish_request(request, client_address)
            return
        with self.config.tls.wrap_socket(request, server_side=True) as secured:
            super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Do nothing: a client that goes away or speaks no TLS is not a fault of ours."""


class _Handler(BaseHTTPRequestHandler):
    server: MetricsServer
    server_version = f"sockmon/{__version__}"
    sys_version = ""

    def setup(self) -> None:
        super().setup()
        self.rfile = timed(cast(BufferedReader, self.rfile), self.connection, REQUEST_SECONDS)

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if not self._may_read():
            self._send(HTTPStatus.UNAUTHORIZED, b"Unauthorized\n", "text/plain", ("WWW-Authenticate", "Basic"))
        elif path == "/metrics":
            self._send_page()
        elif path == "/":
            self._send(HTTPStatus.OK, _INDEX, "text/html; charset=utf-8")
        else:
            self._send(HTTPStatus.NOT_FOUND, b"not found: /metrics has the metrics\n", "text/plain")

    do_HEAD = do_GET

    def _send_page(self) -> None:
        try:
            body, content_type = self.server.page(self.headers.get("Accept") or "")
        except Exception as error:
            text = f"the metrics cannot be written: {FAULTS.note('page', error)}\n".encode()
            self._send(HTTPStatus.INTERNAL_SERVER_ERROR, text, "text/plain; charset=utf-8")
        else:
            self._send(HTTPStatus.OK, body, content_type)

    def _may_read(self) -> bool:
        config = self.server.config
        if not config.users:
            return True
        scheme, _, encoded = (self.headers.get("Authorization") or "").partition(" ")
        if scheme.lower() != "basic":
            return False
        try:
            user, colon, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return False
        return bool(colon) and config.allows(user, password)

    def _send(self, status: HTTPStatus, body: bytes, content_type: str, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Type", content_type), ("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        # The request may have left little of its time.
        self.connection.settimeout(REQUEST_SECONDS)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Do nothing: a scrape each 15 seconds is no news, and the text is foreign."""
