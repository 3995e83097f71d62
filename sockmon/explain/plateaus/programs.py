"""Well-known plateaus of programs: backlogs, pools and settings that were chosen at the start.

Source: the documentation of each program; Redis: CONFIG_MIN_RESERVED_FDS in src/server.h."""

from sockmon.explain.plateaus.plateau import Plateau

_RECEIVED_Q = "ss -ltn: Recv-Q of the listener stays at this number, above its Send-Q"


def _backlog(backlog: int, what: str) -> Plateau:
    text = f"connections that wait at a listener with a backlog of {backlog:,}: the default of {what}"
    return Plateau(backlog, backlog + 1, text, _RECEIVED_Q, "accept-queue")


PROGRAMS = (
    _backlog(50, "java.net.ServerSocket"),
    _backlog(100, "Tomcat (acceptCount)"),
    _backlog(2_048, "gunicorn and uvicorn"),
    Plateau(
        768,
        768,
        "connections of an nginx worker: worker_connections is 768 in the packages of Debian and Ubuntu",
        "the error log has `worker_connections are not enough`",
    ),
    Plateau(
        992,
        992,
        "clients of Redis with a limit of 1,024 descriptors: it lowers maxclients to that, less 32",
        "redis-cli config get maxclients; the log has `maxclients has been reduced`",
        "process-fds",
    ),
    Plateau(
        4_064,
        4_064,
        "clients of Redis with a limit of 4,096 descriptors: it lowers maxclients to that, less 32",
        "redis-cli config get maxclients; the log has `maxclients has been reduced`",
        "process-fds",
    ),
    Plateau(
        1_024,
        1_024,
        "connections or requests of Envoy to one cluster: its circuit breakers stop at 1,024 by default",
        "upstream_cx_overflow and upstream_rq_pending_overflow of the cluster; clients get 503",
    ),
    Plateau(
        1_024,
        1_024,
        "clients of memcached: -c is 1,024 by default",
        "listen_disabled_num of its stats moves",
    ),
)
