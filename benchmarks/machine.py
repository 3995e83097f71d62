"""On what was measured: the processor, the kernel, and the versions of the programs."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sockmon import __version__
from sockmon.sandbox.namespaces import TOOL_PATH

PROGRAMS = {
    "ss": ("ss", "-V"),
    "netstat": ("netstat", "--version"),
    "conntrack": ("conntrack", "-V"),
    "htop": ("htop", "--version"),
    "btop": ("btop", "--version"),
    "glances": ("glances", "--version"),
    "watch": ("watch", "--version"),
}
PACKAGES = ("textual", "psutil", "pyroute2")
NUMBER = re.compile(r"\d+(?:\.\d+)+")


def machine() -> dict[str, str]:
    """Return what a reader has to know of the machine, by name."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    total = re.search(r"^MemTotal: +(\d+)", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return {
        "processor": model[1].strip() if model else platform.machine(),
        "processors": str(os.cpu_count()),
        "memory": f"{int(total[1]) / 1024**2:.0f} GB" if total else "unknown",
        "kernel": os.uname().release,
        "Python": platform.python_version(),
        "sockmon": _sockmon(),
        **{name: _package(name) for name in PACKAGES},
        **{name: _program(argv) for name, argv in PROGRAMS.items()},
        "user": "root" if os.geteuid() == 0 else "an ordinary user",
    }


def load_average() -> float:
    """Return how many processes wanted a processor in the last minute."""
    return os.getloadavg()[0]


def _sockmon() -> str:
    git = subprocess.run(
        ["git", "-C", str(Path(__file__).parent), "rev-parse", "--short", "HEAD"], capture_output=True, text=True
    )
    return f"{__version__} ({git.stdout.strip()})" if git.returncode == 0 else __version__


def _package(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"


def _program(argv: tuple[str, ...]) -> str:
    if not (program := shutil.which(argv[0], path=TOOL_PATH)):
        return "not installed"
    done = subprocess.run([program, *argv[1:]], capture_output=True, text=True, timeout=20, check=False)
    found = NUMBER.search(done.stdout + done.stderr)
    return found[0] if found else "unknown version"
