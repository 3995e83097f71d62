"""What can be changed: every sysctl that a remedy names, and those that the old advice names in vain."""

from sockmon.tunables.conntrack import CONNTRACK
from sockmon.tunables.core import CORE
from sockmon.tunables.files import FILES
from sockmon.tunables.neighbours import NEIGHBOURS
from sockmon.tunables.ports import PORTS
from sockmon.tunables.tasks import TASKS
from sockmon.tunables.tcp import TCP
from sockmon.tunables.tunable import Tunable

TUNABLES: tuple[Tunable, ...] = (*PORTS, *TCP, *CORE, *NEIGHBOURS, *CONNTRACK, *FILES, *TASKS)

BY_KEY = {key: tunable for tunable in TUNABLES for key in tunable.keys}

__all__ = ["BY_KEY", "TUNABLES", "Tunable"]
