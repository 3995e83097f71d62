"""Why a lab cannot run on this machine."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path

from sockmon.errors import LabUnavailable
from sockmon.kernel.identity import kernel_version
from sockmon.sandbox import cgroups, namespaces
from sockmon.sandbox.scenario import Lab

RECORDINGS = Path(__file__).parents[1] / "labs" / "recordings"


def unavailable_reason(lab: Lab) -> str:
    """Return why `lab` cannot run here; empty if nothing is known against it."""
    if lab.recorded:
        found = lab.recording and (RECORDINGS / lab.recording).exists()
        return "" if found else f"its recording {lab.recording} is missing"
    if not Path("/proc/self/ns").exists():
        return "/proc is not mounted"
    if "root" not in lab.needs and (code := _userns_errno()):
        return f"the kernel does not allow user namespaces here: {os.strerror(code)}"
    return next((reason for need in lab.needs if (reason := _unmet_need(need))), "")


@cache
def _userns_errno() -> int:
    return namespaces.userns_errno()


def _unmet_need(need: str) -> str:
    kind, _, what = need.replace(" ", ":").partition(":")
    if kind == "root":
        return "" if os.geteuid() == 0 else "it needs root"
    if kind == "Linux":
        new_enough = kernel_version() >= tuple(map(int, what.split(".")))
        return "" if new_enough else f"it needs {need}, this is {os.uname().release}"
    if kind == "cgroup":
        return _cgroup_problem(what)
    return "" if shutil.which(need, path=namespaces.TOOL_PATH) else f"{need} is not installed"


def _cgroup_problem(controller: str) -> str:
    try:
        cgroups.writable_cgroup(controller)
    except LabUnavailable as error:
        return error.message
    return ""
