"""With privilege, neither the environment nor the current directory may choose code or files.

PYTHONPATH, PYTHONHOME, a user site and the current directory can each replace a module of ours; TEXTUAL_DRIVER
names a class to import, TEXTUAL_LOG a file to write. The command `sockmon` starts isolated (bin/sockmon);
`python -m sockmon` restarts itself isolated. This module imports nothing that could be replaced.
"""

from __future__ import annotations

import os
import sys

_PREFIXES = ("PYTHON", "TEXTUAL")
_HARMLESS = frozenset(
    {
        "TEXTUAL_ANIMATIONS",
        "TEXTUAL_COLOR_SYSTEM",
        "TEXTUAL_DISABLE_KITTY_KEY",
        "TEXTUAL_FPS",
        "TEXTUAL_SMOOTH_SCROLL",
    }
)
"""Variables that only change the drawing."""
_RESTART_CODE = (
    "import runpy, sys; sys.path.append(sys.argv.pop(1));"
    " runpy.run_module('sockmon', run_name='__main__', alter_sys=True)"
)
"""Modules of Python and its site come first; if sockmon is not installed, its directory is the last place."""


def isolate() -> None:
    """With privilege, remove the variables that load code or write files, and continue in an isolated interpreter.

    For an ordinary user nothing happens: the environment is their own."""
    if not privileged():
        return
    for name in [name for name in os.environ if name.startswith(_PREFIXES) and name not in _HARMLESS]:
        del os.environ[name]
    if not sys.flags.isolated:
        here = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
        os.execv(sys.executable, [sys.executable, "-I", "-c", _RESTART_CODE, here, *sys.argv[1:]])


def privileged() -> bool:
    """Return whether this process is root, also of a user namespace, or has capabilities (/proc/self/status,
    CapPrm)."""
    if os.geteuid() == 0 or os.getuid() != os.geteuid():
        return True
    try:
        with open("/proc/self/status", "rb") as file:
            permitted = next((line for line in file if line.startswith(b"CapPrm:")), b"CapPrm: 0")
    except OSError:
        return False
    return int(permitted.split()[1], 16) != 0
