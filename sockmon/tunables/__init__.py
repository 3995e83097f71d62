"""What can be changed: every sysctl that a remedy names, those that the old advice names in vain, and limits of a
live process, whose keys are `nofile@1044`."""

from sockmon.tunables.conntrack import CONNTRACK
from sockmon.tunables.core import CORE
from sockmon.tunables.files import FILES
from sockmon.tunables.limits import LIMITS
from sockmon.tunables.neighbours import NEIGHBOURS
from sockmon.tunables.ports import PORTS
from sockmon.tunables.tasks import TASKS
from sockmon.tunables.tcp import TCP
from sockmon.tunables.tunable import Tunable

TUNABLES: tuple[Tunable, ...] = (*PORTS, *TCP, *CORE, *NEIGHBOURS, *CONNTRACK, *FILES, *TASKS, *LIMITS)

BY_KEY = {key: tunable for tunable in TUNABLES for key in tunable.keys}


def row_of(key: str) -> Tunable:
    """The row of a sysctl, or of the limit that `nofile@1044` is; KeyError where there is none."""
    return BY_KEY[key.partition("@")[0]]


def process_of(key: str) -> int:
    """1044 of `nofile@1044`; 0 for a sysctl."""
    return int(key.partition("@")[2] or 0)


__all__ = ["BY_KEY", "TUNABLES", "Tunable", "process_of", "row_of"]
