"""A real Prometheus that scrapes real exporters: one of a sick network namespace, one of a healthy one."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import IO, Any

import pytest
import yaml

from sockmon.ceilings.level_rules import LevelRules
from sockmon.export.rules import as_yaml, rules
from sockmon.fleet.prometheus import Server
from sockmon.fleet.reading import from_prometheus
from tests.load import Load
from tests.netns import child_environment

PROMETHEUS = shutil.which("prometheus")
DEADLINE = 60.0

pytestmark = pytest.mark.skipif(PROMETHEUS is None, reason="needs prometheus")


def line_with(stream: IO[str] | None, pattern: str) -> str:
    """Return what `pattern` finds in the first line that has it."""
    assert stream is not None
    for line in stream:
        if found := re.search(pattern, line):
            return found[1]
    raise AssertionError(f"it ended without {pattern}")


@contextmanager
def process(command: list[str], pattern: str, **more: Any) -> Iterator[str]:
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, **more) as child:
        try:
            yield line_with(child.stderr, pattern)
        finally:
            child.terminate()


@contextmanager
def exporter(pid: int) -> Iterator[str]:
    """Start an exporter of the network namespace of `pid`, and yield its address."""
    command = [sys.executable, "-m", "sockmon", "export", "--listen", "127.0.0.1:0", "--interval", "0.5"]
    with process([*command, "--netns", str(pid)], r"//(127\S+)/metrics", env=child_environment()) as address:
        yield address


@contextmanager
def prometheus(folder: Path, targets: dict[str, str]) -> Iterator[Callable[[str], Any]]:
    """Start a Prometheus that scrapes `targets` each second, and yield a function that asks its API; asked for
    nothing, it returns the URL."""
    content = rules(LevelRules())
    for group in content["groups"]:
        for rule in group["rules"]:
            rule.pop("for", None)
    (folder / "rules.yml").write_text(as_yaml(content))
    jobs = [{"targets": [address], "labels": {"instance": name}} for name, address in targets.items()]
    config = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(folder / "rules.yml")],
        "scrape_configs": [{"job_name": "sockmon", "static_configs": jobs}],
    }
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config))
    assert PROMETHEUS is not None
    command = [
        PROMETHEUS,
        f"--config.file={folder}/prometheus.yml",
        f"--storage.tsdb.path={folder}/data",
        "--web.listen-address=127.0.0.1:0",
        "--log.format=json",
    ]
    with process(command, r'"address":"(127\.0\.0\.1:[1-9]\d*)"') as address:

        def request(path: str) -> tuple[int, bytes]:
            host, port = address.rsplit(":", 1)
            with closing(http.client.HTTPConnection(host, int(port), timeout=10)) as connection:
                connection.request("GET", path)
                reply = connection.getresponse()
                return reply.status, reply.read()

        until(lambda: request("/-/ready")[0] == 200)
        yield lambda path: json.loads(request(f"/api/v1/{path}")[1])["data"] if path else f"http://{address}"


def until(found: Callable[[], Any]) -> Any:
    """Return the first answer that is not empty; fail after DEADLINE."""
    end = time.monotonic() + DEADLINE
    while not (answer := found()):
        assert time.monotonic() < end, "it never came"
        time.sleep(0.3)
    return answer


def firing(ask: Callable[[str], Any]) -> set[tuple[str, str, str]]:
    return {
        (each["labels"]["alertname"], each["labels"]["instance"], each["labels"]["severity"])
        for each in ask("alerts")["alerts"]
        if each["state"] == "firing"
    }


def test_the_sick_one_is_first_and_its_alert_fires(tmp_path: Path, needs_userns: None) -> None:
    with ExitStack() as stack:
        sick = stack.enter_context(Load(stuck_listener=4, overflow=4, established=2))
        healthy = stack.enter_context(Load(established=20))
        targets = {
            name: stack.enter_context(exporter(load.pid)) for name, load in (("sick", sick), ("healthy", healthy))
        }
        ask = stack.enter_context(prometheus(tmp_path, targets))
        expected = ("SockmonAcceptQueue", "sick", "critical")
        until(lambda: expected in firing(ask))
        assert not {each for each in firing(ask) if each[1] == "healthy" and each[0] == "SockmonAcceptQueue"}
        up = {each["labels"]["instance"]: each["health"] for each in ask("targets")["activeTargets"]}
        assert up == {"sick": "up", "healthy": "up"}
        fleet = from_prometheus(Server(ask("")), ['job="sockmon"'])
        assert fleet.hosts[0].name == "sick"
        assert fleet.hosts[0].severity == "hit"
        assert {host.state for host in fleet.hosts} == {"live"}
        (alert,) = [
            each
            for each in ask("alerts")["alerts"]
            if each["labels"]["alertname"] == "SockmonAcceptQueue" and each["labels"]["instance"] == "sick"
        ]
        assert re.search(r" \S*:8081 \(", alert["annotations"]["description"])
