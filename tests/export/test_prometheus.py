"""A real Prometheus that scrapes the exporters of three labs, of which one is sick until its remedy is applied."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import IO, Any

import pytest
import yaml

from sockmon.ceilings.level_rules import LevelRules
from sockmon.export.rules import as_yaml, rules
from sockmon.fleet.prometheus import Server
from sockmon.fleet.reading import from_prometheus
from sockmon.labs import idle_box, reuseport_workers
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads import files
from sockmon.sandbox.session import RunningLab, lab_environment, run_lab

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


SICK = "leaky-worker"
LIMIT = 256


def _build_sick(builder: LabBuilder) -> None:
    files.start_leaky_worker(builder.workers, LIMIT, LIMIT, 0.0)


LABS = {
    "sick": replace(idle_box.LAB, name="sick", build=_build_sick),
    "idle": idle_box.LAB,
    "busy": reuseport_workers.BUSY,
}

RELAY = """
import socket, sys, threading
def copy(source, target):
    while data := source.recv(65536):
        target.sendall(data)
    target.close()
server = socket.socket(fileno=int(sys.argv[1]))
while True:
    near, _ = server.accept()
    far = socket.create_connection(("127.0.0.1", 9768))
    for pair in ((near, far), (far, near)):
        threading.Thread(target=copy, args=pair, daemon=True).start()
"""
"""Runs in a lab, whose loopback nothing reaches from outside, with a listening socket of the host."""


@contextmanager
def exporter(lab: RunningLab) -> Iterator[str]:
    """Start an exporter in a lab, and yield the address at which it can be reached from here."""
    command = lab.sockmon_command("export", "--interval", "0.5")
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        process(command, r"//(127\S+)/metrics", env=lab_environment()),
    ):
        relay = lab.command([sys.executable, "-I", "-c", RELAY, str(server.fileno())])
        with subprocess.Popen(relay, env=lab_environment(), pass_fds=[server.fileno()]) as child:
            try:
                yield "{}:{}".format(*server.getsockname())
            finally:
                child.terminate()


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


def firing(ask: Callable[[str], Any], host: str) -> dict[str, dict[str, str]]:
    """Return the labels of the alerts of a host, by name."""
    return {
        each["labels"]["alertname"]: each["labels"]
        for each in ask("alerts")["alerts"]
        if each["state"] == "firing" and each["labels"]["instance"] == host
    }


def test_the_sick_one_is_first_its_alert_fires_and_all_is_calm_after_the_remedy(
    tmp_path: Path, needs_userns: None
) -> None:
    with ExitStack() as stack:
        labs = {name: stack.enter_context(run_lab(lab)) for name, lab in LABS.items()}
        ask = stack.enter_context(
            prometheus(tmp_path, {name: stack.enter_context(exporter(lab)) for name, lab in labs.items()})
        )
        alert = until(lambda: firing(ask, "sick").get("SockmonProcessFds"))
        assert {name: alert[name] for name in ("ceiling", "instance", "job", "severity")} == {
            "ceiling": "process-fds", "instance": "sick", "job": "sockmon", "severity": "critical",
        }  # fmt: skip
        until(lambda: {each["health"] for each in ask("targets")["activeTargets"]} == {"up"})
        fleet = from_prometheus(Server(ask("")), ['job="sockmon"'])
        assert [fleet.hosts[0].name, fleet.hosts[0].severity] == ["sick", "hit"]
        assert {host.name: host.state for host in fleet.hosts} == dict.fromkeys(LABS, "live")
        assert not {name for name in LABS if name != "sick" and "SockmonProcessFds" in firing(ask, name)}
        (described,) = [
            each["annotations"]["description"]
            for each in ask("alerts")["alerts"]
            if each["labels"]["alertname"] == "SockmonProcessFds" and each["labels"]["instance"] == "sick"
        ]
        assert f" {SICK}" in described

        labs["sick"].run(["prlimit", f"--pid={labs['sick'].pids[SICK][0]}", f"--nofile={4 * LIMIT}:"])
        # Limits of the whole host, which labs share, may be near here for another reason.
        until(lambda: firing(ask, "sick").keys() == firing(ask, "idle").keys())
        hosts = {host.name: host for host in from_prometheus(Server(ask("")), ['job="sockmon"']).hosts}
        assert hosts["sick"].severity == hosts["idle"].severity
