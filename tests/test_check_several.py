"""`sockmon check --netns … --netns …`: several real network namespaces in one report."""

from __future__ import annotations

import json
import sys

import pytest

from tests.kernel.namespaces.mounted import run_after

SERVER = """
import socket, sys, time
server = socket.socket()
server.bind(("127.0.0.1", 8080))
server.listen(1)
clients = [socket.create_connection(("127.0.0.1", 8080)) for _ in range(2)]
print("ready", flush=True)
sys.stdin.read()
"""
SCRIPT = f"""
for name in a b c; do ip netns add sm-$name; done
nsenter --net=/run/netns/sm-b ip link set lo up
mkfifo /run/in /run/out
nsenter --net=/run/netns/sm-b {sys.executable} -c '{SERVER}' < /run/in > /run/out &
exec 9> /run/in
read -r ready < /run/out
"""


def check(*options: str) -> dict[str, object]:
    command = (
        sys.executable,
        "-m",
        "sockmon",
        "check",
        "--json",
        "--only",
        "accept-queue,ephemeral-ports",
        *options,
    )
    found: dict[str, object] = json.loads(run_after(SCRIPT, command))
    return found


@pytest.mark.usefixtures("needs_userns")
def test_a_pattern_judges_all_that_match_and_the_full_one_comes_first() -> None:
    found = check("--netns", "sm-*")
    assert found["netns"] == "sm-a, sm-b, sm-c"
    readings = found["readings"]
    assert isinstance(readings, list)
    first = readings[0]
    assert (first["ceiling"], first["used"], first["limit"]) == ("accept-queue", 2, 1)
    assert first["severity"] in ("critical", "hit")
    assert (first["netns"]["name"], first["netns"]["kind"]) == ("sm-b", "netns")
    assert all(row["severity"] == "ok" for row in readings if row["netns"]["name"] != "sm-b")
    assert {row["netns"]["name"] for row in readings} == {"sm-a", "sm-b", "sm-c"}


@pytest.mark.usefixtures("needs_userns")
def test_names_may_be_repeated_and_one_is_judged_once() -> None:
    found = check("--netns", "sm-c", "--netns", "sm-a", "--netns", "sm-[ac]")
    assert found["netns"] == "sm-c, sm-a"
    assert found["verdict"] == "ok"


@pytest.mark.usefixtures("needs_userns")
def test_a_pattern_without_a_match_is_an_error() -> None:
    command = (sys.executable, "-m", "sockmon", "check", "--netns", "nothing-*")
    assert run_after("", ("sh", "-c", '"$@" 2>&1 || true', "sh", *command)).startswith(
        "sockmon: no network namespace has a name like nothing-*"
    )
