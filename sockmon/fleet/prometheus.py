"""The HTTP API of Prometheus, as Thanos, Mimir and VictoriaMetrics have it too: instant and range queries.

https://prometheus.io/docs/prometheus/latest/querying/api/"""

from __future__ import annotations

import base64
import http.client
import json
import socket
import ssl
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal, NamedTuple

import msgspec

from sockmon.errors import Misuse, SockmonError
from sockmon.text import sanitize
from sockmon.timed_reader import timed

TIMEOUT_SECONDS = 20.0
"""To connect, and for one whole answer."""
CHUNK_BYTES = 1 << 20
MAX_BYTES = 256 << 20
"""Of one answer: 10,000 hosts have 2 MB."""


class PrometheusError(SockmonError):
    """The server did not answer, or refused."""


class _Response(http.client.HTTPResponse):
    """An answer that must come whole within TIMEOUT_SECONDS: its headers, also those before it, and its body."""

    def __init__(self, sock: socket.socket, *args: Any, **more: Any) -> None:
        super().__init__(sock, *args, **more)
        self.fp = timed(self.fp, sock, TIMEOUT_SECONDS)


class _Plain(http.client.HTTPConnection):
    response_class = _Response


class _Secure(http.client.HTTPSConnection):
    response_class = _Response


class _Http(urllib.request.HTTPHandler):
    def http_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Plain, req)


class _Https(urllib.request.HTTPSHandler):
    def __init__(self, context: ssl.SSLContext) -> None:
        super().__init__(context=context)
        self._tls = context

    def https_open(self, req: urllib.request.Request) -> http.client.HTTPResponse:
        return self.do_open(_Secure, req, context=self._tls)


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """Follows no redirect: it would take the token to another server, and loses the form of a POST."""

    def redirect_request(self, *args: Any) -> None:
        return None


class Series(NamedTuple):
    """One series of an answer."""

    labels: Mapping[str, str]
    """Clean text."""
    values: tuple[tuple[float, float], ...]
    """Time and value, oldest first; one of an instant query."""
    instance: str = ""
    """The label `instance` as the server has it, to ask for it: it must not be shown."""

    @property
    def value(self) -> float:
        """Return the newest value."""
        return self.values[-1][1]

    @property
    def time(self) -> float:
        """Return when that was (seconds since the epoch, by the clock of the server)."""
        return self.values[-1][0]


class _Row(msgspec.Struct):
    metric: dict[str, str]
    value: tuple[float, str] | None = None
    values: list[tuple[float, str]] = []


class _Data(msgspec.Struct, rename="camel"):
    result_type: str
    result: list[_Row]


class _Answer(msgspec.Struct):
    status: Literal["success", "error"]
    data: _Data | None = None
    error: str = ""


_ANSWER = msgspec.json.Decoder(_Answer)
_clean = lru_cache(1 << 15)(sanitize)
"""Most labels of a fleet are the same on many hosts."""


def quoted(text: str) -> str:
    """Return a text as a string of an expression."""
    return json.dumps(text, ensure_ascii=False)


@dataclass(frozen=True)
class Server:
    """Where a Prometheus is, and how it is asked."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None

    def query(self, expression: str, at: float | None = None) -> list[Series]:
        """Return what an expression is now, or was at a time (seconds since the epoch); raise PrometheusError."""
        times = {} if at is None else {"time": f"{at:.3f}"}
        return self._rows("vector", self._ask("query", query=expression, **times))

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[Series]:
        """Return what an expression was from `start` to `end` (seconds since the epoch); raise PrometheusError."""
        times = {"start": f"{start:.3f}", "end": f"{end:.3f}", "step": f"{step:.3f}"}
        return self._rows("matrix", self._ask("query_range", query=expression, **times))

    @property
    def name(self) -> str:
        """Return the server without its password."""
        parts = urllib.parse.urlsplit(self.url)
        return sanitize(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}", 80)

    def _rows(self, kind: str, found: _Data) -> list[Series]:
        if found.result_type != kind:
            raise PrometheusError(f"{self.name} answered with {sanitize(found.result_type, 40)}, no {kind}")
        try:
            return [_series(row.metric, [row.value] if row.value else row.values) for row in found.result]
        except ValueError as error:
            raise PrometheusError(f"{self.name} does not speak the API of Prometheus") from error

    def _ask(self, verb: str, **form: str) -> _Data:
        try:
            answer = _ANSWER.decode(self._body(verb, form))
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise PrometheusError(f"{self.name} does not speak the API of Prometheus") from error
        if answer.status == "error":
            raise PrometheusError(f"{self.name} refuses: {sanitize(answer.error, 200)}")
        if answer.data is None:
            raise PrometheusError(f"{self.name} does not speak the API of Prometheus")
        return answer.data

    def _body(self, verb: str, form: Mapping[str, str]) -> bytes:
        """Return what the server answers; raise PrometheusError if it does not, or refuses."""
        # POST, because an expression can be longer than a URL may be.
        request = urllib.request.Request(
            f"{self.url.rstrip('/')}/api/v1/{verb}",
            urllib.parse.urlencode(form).encode(),
            {"User-Agent": "sockmon", **self.headers},
        )
        handlers = [_NoRedirect(), _Http(), *([_Https(self.tls)] if self.tls else [])]
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=TIMEOUT_SECONDS) as reply:
                body = _read(reply)
        except urllib.error.HTTPError as error:
            raise PrometheusError(f"{self.name} refuses: {_refusal(error)}", _hint(error)) from error
        except TimeoutError as error:
            raise PrometheusError(
                f"{self.name} does not answer: no whole answer within {TIMEOUT_SECONDS:g} s"
            ) from error
        except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
            cause = getattr(error, "reason", None) or error
            reason = getattr(cause, "strerror", None) or str(cause)
            raise PrometheusError(f"{self.name} does not answer: {sanitize(str(reason), 200)}") from error
        if len(body) > MAX_BYTES:
            raise PrometheusError(f"{self.name} answered with more than {MAX_BYTES >> 20} MB", "use --match")
        return body


def _read(reply: http.client.HTTPResponse) -> bytes:
    """Return the body, or too large a part of it; raise ConnectionError for a server that ends before."""
    parts, size = [], 0
    while (part := reply.read1(CHUNK_BYTES)) and size <= MAX_BYTES:
        parts.append(part)
        size += len(part)
    if reply.length and size <= MAX_BYTES:
        raise ConnectionError(f"the answer ended {reply.length:,} bytes too early")
    return b"".join(parts)


def _series(labels: Mapping[str, str], values: Sequence[tuple[float, str]]) -> Series:
    """Return a series; raise ValueError if it has no value, or none that is a number."""
    if not values:
        raise ValueError("a series without a value")
    clean = {_clean(name, 80): _clean(value, 200) for name, value in labels.items()}
    return Series(clean, tuple([(at, float(value)) for at, value in values]), labels.get("instance", ""))


def _refusal(error: urllib.error.HTTPError) -> str:
    try:
        with error:
            return sanitize(str(json.loads(error.read(65536))["error"]), 200)
    except (ValueError, KeyError, TypeError, OSError, RecursionError):
        return f"{error.code} {sanitize(error.reason, 80)}"


def _hint(error: urllib.error.HTTPError) -> str:
    if error.code in (401, 403):
        return "--auth-file has a token, or USER:PASSWORD, on its first line"
    if error.code // 100 == 3 and (place := error.headers.get("Location")):
        return f"it redirects to {sanitize(place.partition('/api/v1/')[0], 120)}: name that address instead"
    return "--tenant names the tenant" if error.code == 400 else ""


def server(url: str, auth_file: str | None, ca_file: str | None, tenant: str | None) -> Server:
    """Return the server of these options; raise Misuse for a URL that is none, SockmonError for a file."""
    try:
        parts = urllib.parse.urlsplit(url)
        valid = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        # Brackets without an address, or a port that is none.
        valid = False
    if not valid or parts.query or parts.fragment:
        raise Misuse(f"{sanitize(url, 80)} is not a URL", "write http://HOST:9090 or https://HOST/prefix")
    headers = {}
    if parts.username is not None:
        raise Misuse("a password is not allowed in the URL, which other users can see", "use --auth-file")
    if auth_file:
        secret = _first_line(auth_file)
        token = base64.b64encode(secret.encode()).decode() if ":" in secret else secret
        headers["Authorization"] = f"{'Basic' if ':' in secret else 'Bearer'} {token}"
    if tenant:
        headers["X-Scope-OrgID"] = tenant
    return Server(url, headers, _tls(ca_file) if parts.scheme == "https" else None)


def _first_line(path: str) -> str:
    try:
        line = Path(path).read_text(encoding="utf-8").partition("\n")[0].strip()
    except (OSError, UnicodeDecodeError) as error:
        raise SockmonError(f"{path} cannot be read: {getattr(error, 'strerror', error)}") from error
    if not line or not line.isprintable():
        raise SockmonError(f"{path} has no token and no USER:PASSWORD on its first line")
    return line


def _tls(ca_file: str | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError) as error:
        raise SockmonError(f"{ca_file} cannot be used: {error.strerror or error}") from error
