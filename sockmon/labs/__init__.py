"""Every ceiling brought about for real, in private namespaces. A new lab is one file, and its line below."""

from difflib import get_close_matches

from sockmon.errors import NoSuchLab
from sockmon.labs import (
    accept_queue,
    bound_ports,
    busy_proxy,
    busy_server,
    cgroup_memory,
    cgroup_pids,
    close_wait_leak,
    conntrack_table,
    ephemeral_ports,
    four_plateaus,
    idle_box,
    inotify,
    memory_maps,
    pid_max,
    port_ranges,
    process_fds,
    recorded,
    short_lived_churn,
    slow_connects,
    snat_ports,
    syn_queue,
    time_wait_buckets,
    udp_ports,
    unix_dgram_queue,
    user_processes,
)
from sockmon.labs.lab import Lab

LABS: tuple[Lab, ...] = (
    process_fds.LAB,
    ephemeral_ports.LAB,
    accept_queue.LAB,
    memory_maps.LAB,
    pid_max.LAB,
    user_processes.LAB,
    cgroup_pids.LAB,
    cgroup_pids.ANCESTOR,
    cgroup_memory.LAB,
    inotify.INSTANCES,
    inotify.WATCHES,
    close_wait_leak.LAB,
    bound_ports.LAB,
    slow_connects.LAB,
    port_ranges.RESERVED_PORTS,
    port_ranges.LISTENER_IN_RANGE,
    port_ranges.ODD_RANGE,
    udp_ports.LAB,
    time_wait_buckets.LAB,
    syn_queue.COOKIES,
    syn_queue.DROPS,
    conntrack_table.LAB,
    snat_ports.LAB,
    unix_dgram_queue.LAB,
    recorded.SYSTEM_FDS,
    recorded.EPOLL_WATCHES,
    recorded.TCP_MEMORY,
    recorded.UDP_MEMORY,
    recorded.TCP_ORPHANS,
    recorded.THREADS_MAX,
    recorded.NEIGHBOUR_TABLE,
    recorded.SOFTNET_BACKLOG,
    idle_box.LAB,
    busy_server.LAB,
    busy_proxy.LAB,
    short_lived_churn.LAB,
    four_plateaus.LAB,
)

BY_NAME = {lab.name: lab for lab in LABS}


def find(name: str) -> Lab:
    """The lab called `name`; NoSuchLab with the names that are nearest to it."""
    if name in BY_NAME:
        return BY_NAME[name]
    near = get_close_matches(name, BY_NAME, cutoff=0.4)
    raise NoSuchLab(
        f"there is no lab called {name!r}",
        f"did you mean {' or '.join(near)}?" if near else "sockmon lab list has them all",
    )


__all__ = ["BY_NAME", "LABS", "Lab", "find"]
