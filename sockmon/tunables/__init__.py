"""What can be changed, a row each: every sysctl that a remedy names, and the limits of a running process (key
`nofile@1044`). `others/` has the sysctls that are explained and not tuned, `removed.py` those that Linux removed.

Pure: may import `model`, `document`, `port_lists`, `errors`, `text` and `misconceptions`. Tests: tests/tunables,
tests/experiments (each effect measured), tests/test_explain.py, tests/test_plain_english.py.
"""

from sockmon.tunables.buffers import BUFFERS
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
)

BY_KEY = {key: tunable for tunable in TUNABLES for key in tunable.keys}
REMOVED_BY_KEY = {key: gone for gone in REMOVED for key in gone.keys}


def row_of(key: str) -> Tunable:
    """Return the row of a sysctl, or of the limit in `nofile@1044`; raise KeyError."""
    return BY_KEY[key.partition("@")[0]]


def process_of(key: str) -> int:
    """Return 1044 for `nofile@1044`, 0 for a sysctl."""
    return int(key.partition("@")[2] or 0)


__all__ = ["BY_KEY", "REMOVED", "REMOVED_BY_KEY", "TUNABLES", "Tunable", "process_of", "row_of"]
