"""Lines of Go, Java, Node and Python."""

from tests.log_lines.line import LISTENER, NO_ROOM, TASKS, Sources

RUNTIMES: Sources = {
    "fsnotify/fsnotify: fsnotify.go": (
        ("watcher error: fsnotify: queue or buffer overflow", "Q_OVERFLOW", "slow reader of events"),
    ),
    "golang/go: src/net/net.go": (
        ("listen tcp :10254: bind: address already in use", "EADDRINUSE", LISTENER),
        ("dial tcp 10.0.0.9:5432: connect: cannot assign requested address", "EADDRNOTAVAIL", "ephemeral-ports"),
        (
            "listen tcp 10.0.0.77:80: bind: cannot assign requested address",
            "EADDRNOTAVAIL",
            "address of another host",
        ),
        ("dial unix /var/run/docker.sock: connect: permission denied", "EACCES", "file of a unix socket"),
        ("dial unix /run/app.sock: connect: no such file or directory", "ENOENT", "file of a unix socket"),
        (
            "lookup web on 10.96.0.10:53: read udp 10.0.0.5:39142->10.96.0.10:53: i/o timeout",
            "ETIMEDOUT",
            "race of two DNS queries",
        ),
        (
            "read tcp 10.0.0.5:39142->10.0.0.9:443: read: connection timed out",
            "ETIMEDOUT",
            "peer gone during the connection",
        ),
        ("write tcp 10.0.0.5:39142->10.0.0.9:443: write: broken pipe", "EPIPE", "peer closed first"),
        ("dial tcp 10.0.0.9:443: connect: no route to host", "EHOSTUNREACH", "no neighbour answers"),
        ("dial tcp [2001:db8::1]:443: connect: network is unreachable", "ENETUNREACH", "no IPv6 route"),
    ),
    "golang/go: src/net/http/server.go": (
        (
            "http: Accept error: accept tcp [::]:8080: accept4: too many open files; retrying in 1s",
            "EMFILE",
            "process-fds",
        ),
    ),
    "golang/go: src/runtime/os_linux.go": (
        ("runtime: failed to create new OS thread (have 33 already; errno=11)", "EAGAIN", TASKS),
        ("runtime: may need to increase max user processes (ulimit -u)", "EAGAIN", "user-processes"),
    ),
    "openjdk/jdk: src/java.base/share/native/libjava, os_linux.cpp": (
        (
            "java.lang.OutOfMemoryError: unable to create native thread: possibly out of memory or"
            " process/resource limits reached",
            "EAGAIN",
            TASKS,
        ),
        (
            "OpenJDK 64-Bit Server VM warning: INFO: os::commit_memory(0x7f00, 12288, 0) failed; error='Not enough"
            " space' (errno=12)",
            "ENOMEM",
            "memory-maps",
        ),
        ("java.io.IOException: Map failed", "ENOMEM", "memory-maps"),
    ),
    "openjdk/jdk: src/java.base/linux/classes/sun/nio/fs/LinuxWatchService.java": (
        (
            "java.io.IOException: User limit of inotify instances reached or too many open files",
            "EMFILE",
            "inotify-instances",
        ),
        ("java.io.IOException: User limit of inotify watches reached", "ENOSPC", "inotify-watches"),
    ),
    "java 17, run": (
        ("java.net.ConnectException: Connection refused", "ECONNREFUSED", "nothing listens on the port"),
        (
            "java.net.BindException: Cannot assign requested address",
            "EADDRNOTAVAIL",
            "address of another host",
        ),
        ("java.net.SocketException: Too many open files", "EMFILE", "process-fds"),
        ("java.net.SocketException: Network is unreachable", "ENETUNREACH", "no route"),
        (
            'java.io.IOException: Cannot run program "true": error=24, Too many open files',
            "EMFILE",
            "process-fds",
        ),
    ),
    "node 18, run": (
        ("Error: listen EADDRINUSE: address already in use :::3000", "EADDRINUSE", LISTENER),
        ("Error: EMFILE: too many open files, open '/etc/passwd'", "EMFILE", "process-fds"),
        ("Error: connect EAGAIN /run/app.sock", "EAGAIN", "accept-queue"),
        ("Error: connect ENOENT /tmp/app.sock", "ENOENT", "file of a unix socket"),
        ("Error: connect ECONNREFUSED 127.0.0.1:8080", "ECONNREFUSED", "nothing listens on the port"),
        ("Error: connect EADDRNOTAVAIL 10.0.0.1:80 - Local (0.0.0.0:0)", "EADDRNOTAVAIL", "ephemeral-ports"),
        ("Error: connect ENETUNREACH 10.0.0.1:80 - Local (0.0.0.0:0)", "ENETUNREACH", "no route"),
        (
            "Error: listen EADDRNOTAVAIL: address not available 10.9.9.9:3000",
            "EADDRNOTAVAIL",
            "address of another host",
        ),
        ("Error: send EMSGSIZE 10.0.0.9:9", "EMSGSIZE", "size of a datagram"),
    ),
    "nodejs/node: lib/internal/fs/watchers.js": (
        (
            "Error: ENOSPC: System limit for number of file watchers reached, watch '/app/src'",
            "ENOSPC",
            "inotify-watches",
        ),
        ("Error: EMFILE: too many open files, watch '/app'", "EMFILE", "inotify-instances"),
    ),
    "python/cpython: Modules/_threadmodule.c": (("RuntimeError: can't start new thread", "EAGAIN", TASKS),),
    "python/cpython: Lib/asyncio/base_events.py": (
        (
            "OSError: [Errno 98] error while attempting to bind on address ('0.0.0.0', 8080): address already in"
            " use",
            "EADDRINUSE",
            LISTENER,
        ),
    ),
    "python/cpython: Lib/asyncio/selector_events.py": (
        ("socket.accept() out of system resource", "EMFILE", "process-fds"),
    ),
    "python 3.11, run": (
        ("BlockingIOError: [Errno 11] Resource temporarily unavailable", "EAGAIN", NO_ROOM),
        ("ConnectionRefusedError: [Errno 111] Connection refused", "ECONNREFUSED", "nothing listens on the port"),
    ),
    "gorakhargosh/watchdog: src/watchdog/observers/inotify_c.py": (
        ("OSError: [Errno 28] inotify watch limit reached", "ENOSPC", "inotify-watches"),
    ),
}
