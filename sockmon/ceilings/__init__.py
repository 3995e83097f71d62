"""What can run out: every ceiling, causes before the symptoms that they bring about."""

from sockmon.ceilings.ceiling import Ceiling
from sockmon.ceilings.conntrack import CONNTRACK_TABLE
from sockmon.ceilings.files import PROCESS_FDS, SYSTEM_FDS
from sockmon.ceilings.memory import TCP_MEMORY, TCP_ORPHANS
from sockmon.ceilings.ports import EPHEMERAL_PORTS
from sockmon.ceilings.queues import ACCEPT_QUEUE
from sockmon.ceilings.time_wait import TIME_WAIT_BUCKETS

CEILINGS: tuple[Ceiling, ...] = (
    PROCESS_FDS,
    SYSTEM_FDS,
    EPHEMERAL_PORTS,
    CONNTRACK_TABLE,
    TCP_MEMORY,
    ACCEPT_QUEUE,
    TCP_ORPHANS,
    TIME_WAIT_BUCKETS,
)
"""In this order hits are listed: a server without descriptors overflows its accept queue, not the other way."""

BY_ID = {ceiling.id: ceiling for ceiling in CEILINGS}
TITLES = {ceiling.id: ceiling.title for ceiling in CEILINGS}

__all__ = ["BY_ID", "CEILINGS", "TITLES", "Ceiling"]
