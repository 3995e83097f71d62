"""The unit of systemd and the DaemonSet of docs/examples: valid, and with no more privilege than they say."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sockmon.export.web import parse_listen

EXAMPLES = Path(__file__).parents[2] / "docs/examples"
UNIT = EXAMPLES / "sockmon-export.service"
ANALYZE = shutil.which("systemd-analyze")
MAX_EXPOSURE = 40
"""Ten times what `systemd-analyze security` says, from 0 to 100: 10 is as exposed as a service of root is."""
needs_analyze = pytest.mark.skipif(ANALYZE is None, reason="needs systemd-analyze")


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """Return the unit with a program that is there."""
    path = tmp_path / UNIT.name
    path.write_text(re.sub(r"(?<=ExecStart=)\S+", sys.executable, UNIT.read_text()))
    return path


def analyze(*words: str) -> subprocess.CompletedProcess[str]:
    assert ANALYZE is not None
    done = subprocess.run([ANALYZE, *words], capture_output=True, text=True, timeout=60)
    if "unrecognized option" in done.stderr or ("Unknown" in done.stderr and "command" in done.stderr):
        pytest.skip("needs a newer systemd-analyze")
    return done


@needs_analyze
def test_systemd_has_no_complaint_about_the_unit(unit: Path) -> None:
    done = analyze("verify", str(unit))
    assert [line for line in done.stderr.splitlines() if UNIT.name in line] == []


@needs_analyze
def test_the_unit_is_little_exposed(unit: Path) -> None:
    done = analyze("security", "--offline=true", f"--threshold={MAX_EXPOSURE}", "--no-pager", str(unit))
    assert done.returncode == 0, done.stdout[-300:] + done.stderr


def capabilities() -> set[str]:
    """Return those of the unit."""
    lines = re.findall(r"^AmbientCapabilities=(.*)$", UNIT.read_text(), re.MULTILINE)
    return {name.removeprefix("CAP_") for line in lines for name in line.split()}


def test_a_pod_has_the_capabilities_of_the_unit_and_no_more() -> None:
    (bounds,) = re.findall(r"^CapabilityBoundingSet=(.*)$", UNIT.read_text(), re.MULTILINE)
    assert {name.removeprefix("CAP_") for name in bounds.split()} == capabilities()
    pod = yaml.safe_load((EXAMPLES / "sockmon-daemonset.yaml").read_text())["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    context = container["securityContext"]
    assert context["capabilities"]["drop"] == ["ALL"]
    assert set(context["capabilities"]["add"]) == capabilities()
    assert context["allowPrivilegeEscalation"] is False
    assert "privileged" not in context
    assert all(mount["readOnly"] for mount in container["volumeMounts"])
    place = container["command"][-1]
    for address in ("10.0.0.5", "fd00::5"):
        assert parse_listen(place.replace("$(NODE_ADDRESS)", address)) == (address, 9768)
