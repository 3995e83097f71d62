"""The examples of docs/examples/ do what they are for, in a private network namespace."""

from __future__ import annotations

import errno
import http.server
import importlib.util
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import pytest

from sockmon.guides import GUIDES
from sockmon.guides.guide import Act, End
from sockmon.sandbox.sockets import limit_port_range, listen
from tests.netns import ROOT, inside

EXAMPLES = ROOT / "docs/examples"
PORTS, WEB = 20, 8080
SLOW_MILLISECONDS = 100
WORKER_CLIENTS = 64
"""So many that a worker of two without any is as likely as 2 in 2 to the 64."""
SOURCE, DESTINATIONS = "127.0.0.5", ("127.0.1.1", "127.0.1.2")


def load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(Path(name).stem, EXAMPLES / name)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_every_example_of_a_guide_is_there_and_every_one_that_is_there_is_of_a_guide() -> None:
    steps = (step for guide in GUIDES for step in guide.steps if isinstance(step, (Act, End)))
    named = {example.file for step in steps for example in step.examples if example.file}
    assert named == {path.name for path in EXAMPLES.glob("*.py")}


@pytest.mark.usefixtures("needs_userns")
def test_a_source_address_without_a_port_has_all_ports_to_each_destination() -> None:
    with_option, without = inside(_connections)
    assert with_option == [PORTS, PORTS]
    assert sum(without) == PORTS


def _connections() -> tuple[list[int], list[int]]:
    limit_port_range(PORTS)
    listener = listen(WEB)
    connect = load("bind_address_no_port.py").connect
    held: list[socket.socket] = []
    first = [_count(connect, address, held) for address in DESTINATIONS]
    for each in held:
        each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        each.close()
    held.clear()
    listener.close()
    with listen(WEB):
        return first, [_count(_bind_first, address, held) for address in DESTINATIONS]


def _bind_first(source: str, destination: tuple[str, int]) -> socket.socket:
    client = socket.socket()
    client.bind((source, 0))
    client.connect(destination)
    return client


def _count(connect: object, address: str, held: list[socket.socket]) -> int:
    """Return how many connections to `address` get a port."""
    assert callable(connect)
    for number in range(PORTS + 1):
        try:
            held.append(connect(SOURCE, (address, WEB)))
        except OSError as error:
            if error.errno not in (errno.EADDRNOTAVAIL, errno.EADDRINUSE):
                raise
            return number
    return PORTS + 1


@pytest.mark.usefixtures("needs_userns")
def test_one_connection_serves_many_requests() -> None:
    assert inside(_ports_of_requests) == (1, 30)


@pytest.mark.usefixtures("needs_userns")
def test_a_log_that_nobody_reads_does_not_block() -> None:
    assert inside(_log_to_full_queue) == (11, 89)


def _log_to_full_queue() -> tuple[int, int]:
    """Return how many of 100 messages were sent and dropped; one more than the limit fits."""
    Path("/proc/sys/net/unix/max_dgram_qlen").write_text("10")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as log:
        log.bind("\0log")
        writer = load("log_without_blocking.py").LogSocket("\0log")
        return sum(writer.send("hello") for _ in range(100)), writer.dropped


@pytest.mark.usefixtures("needs_userns")
def test_an_event_loop_serves_every_connection_with_one_thread() -> None:
    assert inside(_threads_of_event_loop) == (30, 1)


def _threads_of_event_loop() -> tuple[int, int]:
    """Return how many of 30 open connections are answered, and how many threads the server has with them."""
    server = subprocess.Popen([sys.executable, str(EXAMPLES / "event_loop.py"), "127.0.0.1", str(WEB)])
    try:
        clients = [_connect_when_ready() for _ in range(30)]
        for client in clients:
            client.sendall(b"hello")
        answered = sum(client.recv(5) == b"hello" for client in clients)
        return answered, len(list(Path(f"/proc/{server.pid}/task").iterdir()))
    finally:
        server.kill()
        server.wait()


def _connect_when_ready() -> socket.socket:
    deadline = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", WEB), timeout=60)
        except ConnectionRefusedError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def test_the_soft_limit_of_descriptors_is_raised_to_the_hard_one() -> None:
    lower = "import resource; resource.setrlimit(resource.RLIMIT_NOFILE, (200, 300));"
    run = f"import runpy; runpy.run_path({str(EXAMPLES / 'raise_descriptor_limit.py')!r}, run_name='__main__')"
    raised = [
        subprocess.run([sys.executable, "-c", lower + run, wanted], stdout=subprocess.PIPE, text=True, check=True)
        for wanted in ("250", "1000", "100")
    ]
    assert [int(done.stdout) for done in raised] == [250, 300, 200]


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    ports: ClassVar[set[int]] = set()
    requests = 0

    def do_GET(self) -> None:
        type(self).ports.add(self.client_address[1])
        type(self).requests += 1
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *_: object) -> None:
        """Print nothing."""


def _ports_of_requests() -> tuple[int, int]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", WEB), _Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        load("keep_alive.py").main("127.0.0.1", WEB, 30)
        server.shutdown()
        thread.join()
    return len(_Handler.ports), _Handler.requests


@pytest.mark.usefixtures("needs_userns")
def test_each_worker_has_an_accept_queue_of_its_own() -> None:
    first, second = inside(_accepted_by_workers)
    assert first + second == WORKER_CLIENTS
    assert min(first, second) > 0


def _accepted_by_workers() -> list[int]:
    workers = [load("reuse_port.py").listen("127.0.0.1", WEB, WORKER_CLIENTS) for _ in range(2)]
    clients = [socket.create_connection(("127.0.0.1", WEB)) for _ in range(WORKER_CLIENTS)]
    accepted = [_accept_all(worker) for worker in workers]
    for each in (*clients, *workers):
        each.close()
    return accepted


def _accept_all(listener: socket.socket) -> int:
    listener.setblocking(False)
    for number in range(WORKER_CLIENTS + 1):
        try:
            listener.accept()[0].close()
        except BlockingIOError:
            return number
    return WORKER_CLIENTS + 1


@pytest.mark.usefixtures("needs_userns")
def test_a_connection_is_closed_after_its_client() -> None:
    assert inside(_reply_and_state) == (b"hello", b"")


def _reply_and_state() -> tuple[bytes, bytes]:
    module = load("close_after_peer.py")
    with socket.create_server(("127.0.0.1", WEB)) as listener:
        threading.Thread(target=module.serve, args=(listener,), daemon=True).start()
        with socket.create_connection(("127.0.0.1", WEB), timeout=60) as client:
            client.sendall(b"hello")
            reply = client.recv(16)
            client.shutdown(socket.SHUT_WR)
            # The end of the stream arrives when the server has closed its side.
            return reply, client.recv(16)


@pytest.mark.usefixtures("needs_userns")
def test_the_time_of_a_slow_application_is_not_that_of_its_connection() -> None:
    times = inside(_times_of_a_slow_server)
    assert list(times) == ["name", "connect", "first byte"]
    assert times["first byte"] >= SLOW_MILLISECONDS


def _times_of_a_slow_server() -> dict[str, float]:
    with socket.create_server(("127.0.0.1", WEB)) as listener:
        threading.Thread(target=_answer_late, args=(listener,), daemon=True).start()
        found = load("connect_times.py").measure("127.0.0.1", WEB, b"hello")
        assert isinstance(found, dict)
        return found


def _answer_late(listener: socket.socket) -> None:
    with listener.accept()[0] as connection:
        connection.recv(16)
        time.sleep(SLOW_MILLISECONDS / 1000)
        connection.sendall(b"late")
