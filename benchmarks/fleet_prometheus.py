"""A real Prometheus in a temporary folder, and what it needs."""

from __future__ import annotations

import http.client
import json
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.measure import precise_seconds, wait_until

READY_SECONDS = 60.0
BLOCK = "6h"
"""Of the block that is in memory. Samples that are older than the newest by half of it are refused."""


MEMORY = "12GiB"
"""From which on it collects its garbage more often."""


class Prometheus:
    """The server, its process and its API."""

    def __init__(self, process: subprocess.Popen[bytes], host: str, port: int) -> None:
        self._process = process
        self.address = host, port
        self.url = f"http://{host}:{port}"

    def get(self, path: str) -> bytes:
        """Return the answer to a GET; raise RuntimeError if it is refused."""
        with closing(http.client.HTTPConnection(*self.address, timeout=120)) as connection:
            connection.request("GET", path)
            reply = connection.getresponse()
            body = reply.read()
            if reply.status != 200:
                raise RuntimeError(f"{path}: {reply.status} {body[:200]!r}")
            return body

    def number(self, name: str) -> float:
        """Return one of the metrics of the server itself; 0 if it is not there yet."""
        found = re.search(rf"^{re.escape(name)} (\S+)$", self.get("/metrics").decode(), re.MULTILINE)
        return float(found[1]) if found else 0.0

    @property
    def seconds(self) -> float:
        """The processor seconds that it has used."""
        return precise_seconds([self._process.pid])

    @property
    def memory(self) -> float:
        """Its memory in GB (RSS)."""
        text = Path(f"/proc/{self._process.pid}/status").read_text()
        found = re.search(r"^VmRSS:\s+(\d+)", text, re.MULTILINE)
        return int(found[1]) / 1024**2 if found else 0.0


@contextmanager
def prometheus(scrapes: Sequence[Mapping[str, Any]] = ()) -> Iterator[Prometheus]:
    """Run a Prometheus on a free port of loopback, which can be written to."""
    with tempfile.TemporaryDirectory(prefix="sockmon-fleet-benchmark-") as folder:
        # YAML is a superset of JSON.
        (Path(folder) / "prometheus.yml").write_text(json.dumps({"scrape_configs": scrapes}))
        command = [
            "prometheus",
            f"--config.file={folder}/prometheus.yml",
            f"--storage.tsdb.path={folder}/data",
            f"--storage.tsdb.min-block-duration={BLOCK}",
            f"--storage.tsdb.max-block-duration={BLOCK}",
            "--web.listen-address=127.0.0.1:0",
            "--web.enable-remote-write-receiver",
            "--log.format=json",
        ]
        log = Path(folder) / "log"
        environment = {**os.environ, "GOMEMLIMIT": MEMORY}
        with log.open("w") as stream, subprocess.Popen(command, stderr=stream, env=environment) as process:
            try:
                yield _started(process, log)
            finally:
                process.kill()


def _started(process: subprocess.Popen[bytes], log: Path) -> Prometheus:
    def address() -> re.Match[str] | None:
        return re.search(r'"address":"(127\.0\.0\.1):([1-9]\d*)"', log.read_text())

    if not wait_until(lambda: address() is not None or process.poll() is not None, READY_SECONDS):
        raise RuntimeError("prometheus did not start")
    if not (found := address()):
        raise RuntimeError(f"prometheus did not start: {log.read_text()[-500:]}")
    server = Prometheus(process, found[1], int(found[2]))

    def ready() -> bool:
        try:
            server.get("/-/ready")
        except (RuntimeError, OSError):
            return False
        return True

    if not wait_until(ready, READY_SECONDS):
        raise RuntimeError(f"prometheus was not ready within {READY_SECONDS:g} s")
    return server
