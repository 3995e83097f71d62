"""What can be changed, a row each: every sysctl that a remedy names, and the limits of a running process (key
`nofile@1044`) and of a cgroup (`pids.max@/web.slice`). `others/` has the sysctls that are explained
and not tuned, `removed.py` those that Linux removed.

Pure: may import `model`, `document`, `port_lists`, `errors`, `text` and `misconceptions`. Tests: tests/tunables,
tests/experiments (each effect measured), tests/test_explain.py, tests/test_plain_english.py.
"""

from sockmon.tunables.buffers import BUFFERS
from sockmon.tunables.cgroups import CGROUP_LIMITS
from sockmon.tunables.conntrack import CONNTRACK
from sockmon.tunables.core import CORE
from sockmon.tunables.fanotify import FANOTIFY
from sockmon.tunables.files import FILES
from sockmon.tunables.limits import LIMITS
from sockmon.tunables.neighbours import NEIGHBOURS
from sockmon.tunables.ports import PORTS
from sockmon.tunables.removed import REMOVED
from sockmon.tunables.retries import RETRIES
from sockmon.tunables.tasks import TASKS
from sockmon.tunables.tcp import TCP
from sockmon.tunables.tunable import Tunable

TUNABLES: tuple[Tunable, ...] = (
    *PORTS,
    *TCP,
    *RETRIES,
    *CORE,
    *BUFFERS,
    *NEIGHBOURS,
    *CONNTRACK,
    *FILES,
    *FANOTIFY,
    *TASKS,
    *LIMITS,
    *CGROUP_LIMITS,
)

BY_KEY = {key: tunable for tunable in TUNABLES for key in tunable.keys}
REMOVED_BY_KEY = {key: gone for gone in REMOVED for key in gone.keys}


def row_of(key: str) -> Tunable:
    """Return the row of a sysctl, or of the limit in `nofile@1044`; raise KeyError."""
    return BY_KEY[key.partition("@")[0]]


def process_of(key: str) -> int:
    """Return 1044 for `nofile@1044`, 0 for a sysctl and for the limit of a cgroup."""
    process = key.partition("@")[2]
    return int(process) if process.isdecimal() else 0


def cgroup_of(key: str) -> str:
    """Return `/system.slice/nginx.service` for `pids.max@/system.slice/nginx.service`, else an empty string."""
    cgroup = key.partition("@")[2]
    return cgroup if cgroup.startswith("/") else ""


__all__ = ["BY_KEY", "REMOVED", "REMOVED_BY_KEY", "TUNABLES", "Tunable", "cgroup_of", "process_of", "row_of"]
