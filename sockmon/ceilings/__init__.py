"""What can run out: every ceiling, causes before the symptoms that they bring about."""

from sockmon.ceilings.ceiling import Ceiling
from sockmon.ceilings.cgroups import CGROUP_MEMORY, CGROUP_PIDS
from sockmon.ceilings.conntrack import CONNTRACK_TABLE
from sockmon.ceilings.files import PROCESS_FDS, SYSTEM_FDS
from sockmon.ceilings.maps import MEMORY_MAPS
from sockmon.ceilings.memory import TCP_MEMORY, TCP_ORPHANS, UDP_MEMORY
from sockmon.ceilings.neighbours import NEIGHBOUR_TABLE
from sockmon.ceilings.ports import EPHEMERAL_PORTS
from sockmon.ceilings.ports_bound import BOUND_PORTS
from sockmon.ceilings.ports_udp import UDP_PORTS
from sockmon.ceilings.queues import ACCEPT_QUEUE
from sockmon.ceilings.snat import SNAT_PORTS
from sockmon.ceilings.softnet import SOFTNET_BACKLOG
from sockmon.ceilings.syn_queue import SYN_QUEUE
from sockmon.ceilings.tasks import PID_MAX, THREADS_MAX
from sockmon.ceilings.time_wait import TIME_WAIT_BUCKETS
from sockmon.ceilings.unix_dgram import UNIX_DGRAM_QUEUE
from sockmon.ceilings.users import USER_PROCESSES
from sockmon.ceilings.watches import EPOLL_WATCHES, INOTIFY_INSTANCES, INOTIFY_WATCHES

CEILINGS: tuple[Ceiling, ...] = (
    CGROUP_PIDS,
    USER_PROCESSES,
    PID_MAX,
    THREADS_MAX,
    MEMORY_MAPS,
    CGROUP_MEMORY,
    PROCESS_FDS,
    SYSTEM_FDS,
    INOTIFY_INSTANCES,
    INOTIFY_WATCHES,
    EPOLL_WATCHES,
    CONNTRACK_TABLE,
    SNAT_PORTS,
    BOUND_PORTS,
    EPHEMERAL_PORTS,
    UDP_PORTS,
    TCP_MEMORY,
    UDP_MEMORY,
    NEIGHBOUR_TABLE,
    ACCEPT_QUEUE,
    SYN_QUEUE,
    UNIX_DGRAM_QUEUE,
    SOFTNET_BACKLOG,
    TCP_ORPHANS,
    TIME_WAIT_BUCKETS,
)
"""In this order hits are listed: a server without descriptors overflows its accept queue, not the other way."""

BY_ID = {ceiling.id: ceiling for ceiling in CEILINGS}
TITLES = {ceiling.id: ceiling.title for ceiling in CEILINGS}

__all__ = ["BY_ID", "CEILINGS", "TITLES", "Ceiling"]
