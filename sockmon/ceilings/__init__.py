"""Every limit that can cap connections, a row each: how to measure it, its evidence, its remedies, its manual.

Pure: may import `model`, `format`, `document` and `misconceptions`. Tests: tests/assess (readings of made-up
Snapshots), tests/labs (each limit reproduced on the kernel), tests/test_plain_english.py.
"""

from sockmon.ceilings.aio import AIO_EVENTS
from sockmon.ceilings.ceiling import Ceiling
from sockmon.ceilings.cgroups import CGROUP_MEMORY, CGROUP_PIDS
from sockmon.ceilings.conntrack import CONNTRACK_TABLE
from sockmon.ceilings.conntrack_buckets import CONNTRACK_BUCKETS
from sockmon.ceilings.epoll_inotify import EPOLL_WATCHES, INOTIFY_INSTANCES, INOTIFY_WATCHES
from sockmon.ceilings.fanotify import FANOTIFY_GROUPS, FANOTIFY_MARKS
from sockmon.ceilings.files import PROCESS_FDS, SYSTEM_FDS
from sockmon.ceilings.maps import MEMORY_MAPS
from sockmon.ceilings.memlock import MEMLOCK
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
from sockmon.ceilings.transmit_queues import TRANSMIT_QUEUE
from sockmon.ceilings.udp_buffers import UDP_BUFFERS
from sockmon.ceilings.unix_dgram import UNIX_DGRAM_QUEUE
from sockmon.ceilings.users import USER_PROCESSES

CEILINGS: tuple[Ceiling, ...] = (
    CGROUP_PIDS,
    USER_PROCESSES,
    PID_MAX,
    THREADS_MAX,
    MEMORY_MAPS,
    MEMLOCK,
    CGROUP_MEMORY,
    PROCESS_FDS,
    SYSTEM_FDS,
    INOTIFY_INSTANCES,
    INOTIFY_WATCHES,
    FANOTIFY_GROUPS,
    FANOTIFY_MARKS,
    EPOLL_WATCHES,
    AIO_EVENTS,
    CONNTRACK_TABLE,
    CONNTRACK_BUCKETS,
    SNAT_PORTS,
    BOUND_PORTS,
    EPHEMERAL_PORTS,
    UDP_PORTS,
    TCP_MEMORY,
    UDP_MEMORY,
    NEIGHBOUR_TABLE,
    TRANSMIT_QUEUE,
    ACCEPT_QUEUE,
    SYN_QUEUE,
    UDP_BUFFERS,
    UNIX_DGRAM_QUEUE,
    SOFTNET_BACKLOG,
    TCP_ORPHANS,
    TIME_WAIT_BUCKETS,
)
"""Causes before symptoms, the order in which hits are listed: a server without descriptors overflows its accept
queue, not the other way round."""

BY_ID = {ceiling.id: ceiling for ceiling in CEILINGS}
TITLES = {ceiling.id: ceiling.title for ceiling in CEILINGS}

__all__ = ["BY_ID", "CEILINGS", "TITLES", "Ceiling"]
