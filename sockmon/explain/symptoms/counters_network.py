"""Counters of connection tracking, neighbours, packet queues and cgroups, and their log lines."""

from sockmon.explain.symptoms.symptom import Cause, Symptom

NETWORK = (
    Symptom(
        name="conntrack.drop",
        kind="counter",
        related=("conntrack.insert_failed", "conntrack.clashres"),
        other_names=("drop", "table full, dropping packet", "nf_conntrack: table full"),
        description="Connection tracking dropped a packet (/proc/net/stat/nf_conntrack).",
        causes=(
            Cause(
                "conntrack-table",
                "insert_failed does not move: the table is full of answered connections, and the kernel logs"
                " `table full`; without that line the kernel had no memory for the flow, or a tracker refused"
                " the packet",
            ),
            Cause(
                "snat-ports", "insert_failed moves as much: no translated port is free; the kernel logs nothing"
            ),
            Cause(
                None,
                "insert_failed moves as much, with UDP only, on a kernel before about 5.7: two queries of one"
                " socket raced; see conntrack.insert_failed",
                "race of two DNS queries",
            ),
        ),
    ),
    Symptom(
        name="conntrack.insert_failed",
        kind="counter",
        related=("conntrack.drop", "conntrack.clashres", "conntrack.chainlength"),
        other_names=("insert_failed",),
        description="A flow could not be added to the table, mostly because its translated address and port are in"
        " use.",
        causes=(
            Cause("snat-ports", "drop moves as much"),
            Cause("conntrack-buckets", "chainlength moves as much, and drop does not: its bucket is too long"),
            Cause(
                None,
                "two packets of one new UDP flow raced: a resolver sends the A and the AAAA query from one socket"
                " at once, and DNAT chooses different backends. On kernels before about 5.7 the second packet is"
                " lost, drop moves with it, and the query takes 5 s. Newer kernels resolve the race: clashres"
                " moves, and nothing is lost. Remedies: choose the backend by a hash of the flow,"
                " `options single-request-reopen` in resolv.conf, or a node-local cache without connection"
                " tracking",
                "race of two DNS queries",
            ),
            Cause(
                None,
                "a reply or a redirected packet has the same addresses and ports as another flow, after address"
                " translation for example; it moves rarely, and the client sends the packet again",
                "clash of two flows",
            ),
        ),
    ),
    Symptom(
        name="conntrack.clashres",
        kind="counter",
        other_names=("clashres", "clash_resolve"),
        description="Two packets created the same flow at once, and the kernel let the second use the flow of the"
        " first. Nothing is lost.",
        causes=(
            Cause(
                None,
                "A and AAAA queries that leave one socket at once, or other UDP bursts of a new flow; kernels"
                " before about 5.7 lost such packets, and counted insert_failed and drop",
                "race of two DNS queries",
            ),
        ),
    ),
    Symptom(
        name="conntrack.early_drop",
        kind="counter",
        other_names=("early_drop",),
        description="The table is full, and the kernel evicted a flow that was not answered yet.",
        causes=(Cause("conntrack-table", "nothing fails yet: this is the last stage before drop moves"),),
    ),
    Symptom(
        name="table_fulls",
        kind="counter",
        other_names=("arp_cache.table_fulls", "ndisc_cache.table_fulls", "neighbor table overflow"),
        description="A new neighbour did not fit the table (/proc/net/stat/arp_cache, ndisc_cache).",
        causes=(Cause("neighbour-table", "`entries` is at gc_thresh3"),),
    ),
    Symptom(
        name="softnet.dropped",
        kind="counter",
        other_names=("softnet dropped",),
        description="The packet queue of a processor was full (second column of /proc/net/softnet_stat).",
        causes=(
            Cause("softnet-backlog", "loopback, veth, tunnels and RPS use it; the drops show as retransmissions"),
        ),
    ),
    Symptom(
        name="pids.events",
        kind="counter",
        other_names=("fork rejected by pids controller",),
        description="A cgroup refused a new task. On Linux before 6.11, and with cgroup v1, it counts in the"
        " cgroup of the task, not in the cgroup with the limit.",
        causes=(Cause("cgroup-pids", "pids.current is at pids.max of this cgroup or of one above it"),),
    ),
    Symptom(
        name="oom_kill",
        kind="counter",
        other_names=("memory cgroup out of memory", "out of memory: killed process", "invoked oom-killer"),
        description="The kernel killed a process, because a cgroup was at its memory limit, or the host had no"
        " memory left.",
        causes=(
            Cause("cgroup-memory", "memory.current is at memory.max; socket buffers count too"),
            Cause(
                None,
                "the line does not begin with `Memory cgroup`: memory and swap of the host were used up."
                " oom_kill in /proc/vmstat counts both kinds, oom_kill in memory.events those of a cgroup",
                "memory of the host",
                (r"^(?!.*memory cgroup).*out of memory: killed process", r"constraint=CONSTRAINT_NONE"),
            ),
        ),
    ),
)
