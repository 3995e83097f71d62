"""Four servers that stop growing at the same time, each because of another limit."""

from __future__ import annotations

from functools import partial

from sockmon.labs import cgroup_pids, memory_maps
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.connections import connect_and_hold
from sockmon.sandbox.loads.files import accept_and_never_close
from sockmon.sandbox.loads.port_numbers import API, WEB, WORKERS
from sockmon.sandbox.loads.ports import start_proxy
from sockmon.sandbox.scenario import Lab, hit
from sockmon.sandbox.sockets import LOOPBACK, limit_port_range, listen

PORTS, FILES, TASKS, THREADS = 600, 256, cgroup_pids.LIMIT, 50


def _build(builder: LabBuilder) -> None:
    group = builder.cgroup("pids", "workers", max=TASKS)
    limit_port_range(PORTS)
    builder.progress(0.0, "a proxy that uses all ports towards its database")
    start_proxy(builder.workers, PORTS)
    builder.progress(0.1, "a server that uses all its descriptors")
    with listen(API) as listener:
        builder.start("api-server", partial(accept_and_never_close, listener, FILES))
    # As many as the API server may open files: the last of them wait in its queue.
    builder.start("callers", partial(connect_and_hold, LOOPBACK, API, FILES))
    builder.progress(0.2, "a container that uses all its tasks")
    cgroup_pids.start_server_in_cgroup(builder, group, "worker-pool", WORKERS)
    memory_maps.start_server_at_limit(builder, "app-server", WEB, THREADS)


LAB = Lab(
    name="four-plateaus",
    ceiling="cgroup-pids",
    title="four servers that all stop growing",
    scenario="A proxy, an API server, an app server and a worker pool stop growing, each at a different limit.",
    what_to_see="four different limits: tasks of a cgroup, memory maps, open files, ports",
    claim="one check distinguishes four limits with the same symptom",
    build=_build,
    expect_first=hit("cgroup-pids", r"/workers$", TASKS, "cgroup", "pids.max"),
    expect_also=(
        memory_maps.AT_LIMIT,
        hit("process-fds", r"^api-server\[\d+\]$", FILES, "rlimit", "nofile"),
        hit("ephemeral-ports", r"^127\.0\.0\.1 → 127\.0\.0\.1:5432$", PORTS),
    ),
    expect_no_alarm=("pid-max", "user-processes", "accept-queue", "conntrack-table", "tcp-memory"),
    needs=("cgroup:pids",),
    recording="four-plateaus.jsonl",
    check_seconds=4.0,
)
