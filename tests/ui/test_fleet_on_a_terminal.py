"""A fleet on a real pseudo-terminal, with an `ssh` that runs the agent here or fails as ssh does."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.fleet.test_prometheus import Row, fake
from tests.terminal import on_terminal

SSH = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
case $2 in closed) echo "ssh: connect to host closed port 22: Connection refused" >&2; exit 255;; esac
shift 3
exec {python} -m sockmon "$@"
"""
HOSTS = ("ssh://closed", "ssh://web")


@pytest.fixture
def variables(tmp_path: Path) -> dict[str, str]:
    ssh = tmp_path / "ssh"
    ssh.write_text(SSH.format(python=sys.executable))
    ssh.chmod(0o755)
    return {"PATH": f"{tmp_path}:/usr/bin:/bin"}


def test_enter_opens_the_live_screen_of_a_host_and_esc_comes_back(variables: dict[str, str]) -> None:
    with on_terminal("fleet", *HOSTS, variables=variables) as terminal:
        terminal.until("Connection refused")
        terminal.until("<1 min")
        terminal.press("/")
        terminal.until("Enter keeps")
        terminal.press("host:web\r")
        terminal.until("1 of 2 match")
        terminal.press("\r")
        terminal.until("Esc returns to the fleet")
        terminal.until("1 Sockets")
        terminal.settle_until_quiet()
        terminal.press("\x1b")
        # The filter and the cursor are as they were.
        terminal.until("1 of 2 match")
        terminal.settle_until_quiet()
        terminal.press("\x1b")
        terminal.until("2 hosts")
        terminal.settle_until_quiet()
        terminal.press("/")
        terminal.until("Enter keeps")
        terminal.press("host:closed\r")
        terminal.until("1 of 2 match")
        terminal.press("\r")
        # It is tried, and its page says why its screen did not open.
        terminal.until("Not open")
        terminal.settle_until_quiet()
        terminal.press("qq")
        assert terminal.end() == 0


PYTHON_ONLY = """#!/bin/sh
while [ "$1" != -- ]; do shift; done
test "$3" = python3 || { echo "sockmon: not found" >&2; exit 127; }
shift 3
eval "exec /usr/bin/env python3 $*"
"""


def test_a_host_of_a_prometheus_is_opened_without_sockmon_on_it(variables: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "ssh").write_text(PYTHON_ONLY)
    answers: dict[str, list[Row]] = {
        "sockmon_verdict": [({"instance": "web-1:9768", "sockmon_verdict": "ok"}, 1.0)],
        "time() -": [({"instance": "web-1:9768"}, 10.0)],
    }
    with (
        fake(answers) as (url, _),
        on_terminal("fleet", "--prometheus", url, "--push", variables=variables) as terminal,
    ):
        terminal.until("web-1")
        terminal.press("\r")
        terminal.until("Esc returns to the fleet")
        terminal.until("1 Sockets")
        terminal.press("\x03")
        terminal.end()


def test_text_is_one_report_also_on_a_terminal(variables: dict[str, str]) -> None:
    with on_terminal("fleet", "--text", "ssh://closed", variables=variables) as terminal:
        terminal.until("1 host, 0 with an alarm, 1 unknown")
        assert terminal.end() == 3
