"""Lines of nginx, HAProxy and Envoy."""

from tests.log_lines.line import ABOVE, LISTENER, TASKS, Sources

SERVERS: Sources = {
    "nginx/nginx: src/event/ngx_event_accept.c": (
        ("2026/11/22 03:12:44 [crit] 812#0: accept4() failed (24: Too many open files)", "EMFILE", "process-fds"),
    ),
    "nginx/nginx: src/core/ngx_connection.c": (
        ("nginx: [emerg] bind() to 0.0.0.0:80 failed (98: Address already in use)", "EADDRINUSE", LISTENER),
        ("nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)", "EACCES", "privileged port"),
        (
            "[alert] 812#0: *9 1024 worker_connections are not enough while connecting to upstream",
            "worker_connections",
            "setting of nginx",
        ),
        (
            "[warn] 812#0: 1024 worker_connections are not enough, reusing connections",
            "worker_connections",
            "setting of nginx",
        ),
    ),
    "nginx/nginx: src/event/ngx_event_connect.c": (
        (
            "[error] 812#0: *9 connect() to unix:/run/php-fpm.sock failed (11: Resource temporarily unavailable)"
            " while connecting to upstream, client: 10.0.0.1, server: _",
            "EAGAIN",
            "accept-queue",
        ),
        (
            "[error] 812#0: *9 connect() to unix:/run/php-fpm.sock failed (111: Connection refused) while"
            ' connecting to upstream, upstream: "http://10.0.0.9:80/"',
            "ECONNREFUSED",
            "unix socket without a listener",
        ),
        (
            "[crit] 812#0: *9 connect() to unix:/run/php-fpm.sock failed (2: No such file or directory) while"
            " connecting to upstream",
            "ENOENT",
            "file of a unix socket",
        ),
        (
            "[crit] 812#0: *9 connect() to 10.0.0.9:8080 failed (99: Cannot assign requested address) while"
            ' connecting to upstream, client: 10.0.0.1, host: "web:80"',
            "EADDRNOTAVAIL",
            "ephemeral-ports",
        ),
        (
            "[error] 812#0: *9 connect() to 10.0.0.9:8080 failed (113: No route to host) while connecting to"
            " upstream",
            "EHOSTUNREACH",
            "no neighbour answers",
        ),
        (
            "[alert] 812#0: *9 socket() failed (24: Too many open files) while connecting to upstream",
            "EMFILE",
            "process-fds",
        ),
        (
            "[crit] 812#0: *9 bind(10.0.0.5) failed (99: Cannot assign requested address) while connecting to"
            " upstream",
            "EADDRNOTAVAIL",
            "address of another host",
        ),
        (
            "[crit] 812#0: *9 bind(10.0.0.5) failed (98: Address already in use) while connecting to upstream",
            "EADDRINUSE",
            "bound-ports",
        ),
    ),
    "nginx/nginx: src/http/ngx_http_upstream.c": (
        (
            "[error] 812#0: *9 upstream prematurely closed connection while reading response header from upstream",
            "unexpected EOF",
            "process that ended",
        ),
        (
            "[error] 812#0: *9 no live upstreams while connecting to upstream",
            "unexpected EOF",
            "upstreams that are marked as failed",
        ),
        (
            "[error] 812#0: *9 upstream timed out (110: Connection timed out) while reading response header from"
            " upstream",
            "ETIMEDOUT",
            "slow application",
        ),
        (
            "[error] 812#0: *9 upstream timed out (110: Connection timed out) while connecting to upstream",
            "ETIMEDOUT",
            "accept-queue",
        ),
    ),
    "nginx/nginx: src/os/unix/ngx_recv.c": (
        (
            "[error] 812#0: *9 recv() failed (104: Connection reset by peer) while reading response header from"
            " upstream",
            "ECONNRESET",
            "idle connection",
        ),
    ),
    "nginx/nginx: src/event/ngx_event.c": (
        (
            "nginx: [warn] 8192 worker_connections exceed open file resource limit: 1024",
            "max-file-descriptors",
            "process-fds",
        ),
    ),
    "nginx/nginx: src/os/unix/ngx_process_cycle.c": (
        ("[alert] 812#0: setrlimit(RLIMIT_NOFILE, 2000000) failed (1: Operation not permitted)", "EPERM", ABOVE),
    ),
    "nginx/nginx: src/os/unix/ngx_process.c": (
        (
            '[alert] 811#0: fork() failed while spawning "worker process" (11: Resource temporarily unavailable)',
            "EAGAIN",
            TASKS,
        ),
    ),
    "nginx/nginx: src/event/modules/ngx_epoll_module.c": (
        (
            "[emerg] 812#0: io_setup() failed (11: Resource temporarily unavailable)",
            "EAGAIN",
            "aio-events",
        ),
    ),
    "haproxy/haproxy: src/sock.c": (
        (
            "Proxy fe reached process FD limit (maxsock=4031). Please check 'ulimit-n' and restart.",
            "EMFILE",
            "process-fds",
        ),
        (
            "Proxy fe reached system FD limit (actconn=2000). Please check system tunables.",
            "ENFILE",
            "system-fds",
        ),
        (
            "Proxy fe reached system memory limit (actconn=2000). Please check system tunables.",
            "ENOBUFS",
            "cgroup-memory",
        ),
    ),
    "haproxy/haproxy: src/proto_tcp.c": (
        ("Connect() failed for backend be: no free ports.", "EADDRNOTAVAIL", "ephemeral-ports"),
    ),
    "haproxy/haproxy: src/proto_uxst.c": (
        (
            "Connect() failed for backend be: can't connect to destination unix socket, check backlog size on the"
            " server (Resource temporarily unavailable).",
            "EAGAIN",
            "accept-queue",
        ),
    ),
    "haproxy/haproxy: src/protocol.c, src/sock_inet.c": (
        (
            "[ALERT] (97) : Binding [haproxy.cfg:36] for frontend fe: protocol tcpv4: cannot bind socket (Address"
            " already in use) for [0.0.0.0:80].",
            "EADDRINUSE",
            LISTENER,
        ),
        (
            "[ALERT] (97) : Binding [haproxy.cfg:36] for frontend fe: protocol tcpv4: cannot bind socket"
            " (Permission denied) for [0.0.0.0:80].",
            "EACCES",
            "privileged port",
        ),
    ),
    "haproxy/haproxy: src/limits.c": (
        (
            "[ALERT] (97) : [haproxy.main()] Cannot raise FD limit to 200014, current limit is 1024 and hard limit"
            " is 4096.",
            "max-file-descriptors",
            "process-fds",
        ),
        (
            "[ALERT] (97) : [haproxy.main()] FD limit (1024) too low for maxconn=2000/maxsock=4031. Please raise"
            " 'ulimit-n' to 4031 or more to avoid any trouble.",
            "max-file-descriptors",
            "process-fds",
        ),
    ),
    "envoyproxy/envoy: source/common/network/listen_socket_impl.h": (
        ("cannot bind '0.0.0.0:10000': Address already in use", "EADDRINUSE", LISTENER),
    ),
    "envoyproxy/envoy: source/common/http/utility.cc": (
        (
            "upstream connect error or disconnect/reset before headers. reset reason: connection failure,"
            " transport failure reason: delayed connect error: 111",
            "ECONNREFUSED",
            "nothing listens on the port",
        ),
        (
            "upstream connect error or disconnect/reset before headers. retried and the latest reset reason:"
            " remote connection failure, transport failure reason: delayed connect error: Connection refused",
            "ECONNREFUSED",
            "nothing listens on the port",
        ),
    ),
}
