"""Errors of calls that reach no limit: a name that does not exist, or a socket or device in another state.

Source: net/unix/af_unix.c, net/ipv4/af_inet.c, net/socket.c, fs/eventpoll.c, io_uring/rsrc.c (Linux 6.12). Pure.
"""

from sockmon.explain.symptoms.symptom import Cause, Symptom

_UNIX = (r"\bunix\b", r"\.sock\b", r"\.s\.PGSQL")

_ENOENT = Symptom(
    name="ENOENT",
    kind="errno",
    other_names=("no such file or directory",),
    description="Error 2, `No such file or directory`: no limit is reached; a name does not exist for this"
    " process.",
    causes=(
        Cause(
            None,
            "connect() to a unix socket: no file has that path. The server has not started, uses another path, or"
            " removed the file; a container, or a service with PrivateTmp=, has a /tmp of its own (`ss -xl`)",
            "file of a unix socket",
            _UNIX,
        ),
        Cause(
            None,
            "epoll_ctl(): EPOLL_CTL_MOD or EPOLL_CTL_DEL of a descriptor that is not in the set; it was closed"
            " before, and its number used again",
            "descriptor that is not in the set",
            (r"epoll",),
        ),
        Cause(
            None,
            "inotify_add_watch(), open() or execve(): the path, or the interpreter that its first line names,"
            " does not exist in this mount namespace",
            "path that does not exist",
            (r"inotify", r"\bopen\b", r"\bexec\w*\b"),
        ),
    ),
)
_EINPROGRESS = Symptom(
    name="EINPROGRESS",
    kind="errno",
    other_names=("operation now in progress", "EALREADY", "operation already in progress"),
    description="Error 115, `Operation now in progress`: a non-blocking connect() over TCP has sent its SYN. It"
    " is normal. The result comes later, in SO_ERROR, when poll() reports the socket as writable. Error 114"
    " (EALREADY) is the same for a second connect() meanwhile.",
    causes=(
        Cause(
            None,
            "the program logs it as an error: it should wait for the result, which is ECONNREFUSED, ETIMEDOUT or"
            " none",
            "normal start of a connection",
        ),
        Cause(
            None,
            "it lasts: `ss -tn state syn-sent` lists the connections that were not answered yet; see ETIMEDOUT",
            "no answer to the SYN",
        ),
    ),
)
_ENOTCONN = Symptom(
    name="ENOTCONN",
    kind="errno",
    other_names=("transport endpoint is not connected", "socket is not connected"),
    description="Error 107, `Transport endpoint is not connected`: the socket has no peer.",
    causes=(
        Cause(
            None,
            "getpeername(), shutdown() or setsockopt() of a connection that was reset before: it is what a"
            " server gets when its client gave up early",
            "connection that has ended",
        ),
        Cause(
            None,
            "recv() before connect() succeeded, or of a listener; send() over TCP gives EPIPE then",
            "socket without connect()",
        ),
    ),
)
_EISCONN = Symptom(
    name="EISCONN",
    kind="errno",
    other_names=("transport endpoint is already connected", "socket is already connected"),
    description="Error 106, `Transport endpoint is already connected`: a second connect() of a connected socket,"
    " or sendto() with an address on one.",
    causes=(
        Cause(None, "it is a fault of the program, or the normal end of a non-blocking connect()", "second call"),
    ),
)
_EAFNOSUPPORT = Symptom(
    name="EAFNOSUPPORT",
    kind="errno",
    other_names=("address family not supported", "EPROTONOSUPPORT", "protocol not supported"),
    description="Error 97, `Address family not supported by protocol`: no limit is reached.",
    causes=(
        Cause(
            None,
            "socket(AF_INET6): the kernel runs with ipv6.disable=1, or without the module. If IPv6 is only"
            " switched off by net.ipv6.conf.all.disable_ipv6, the socket is made, and bind() or connect() fails"
            " with EADDRNOTAVAIL",
            "kernel without IPv6",
            (r"AF_INET6", r"\[::", r"IPv6"),
        ),
        Cause(
            None,
            "connect() or bind(): the family of the address is not that of the socket, such as an IPv6 address"
            " with an IPv4 socket",
            "address of another family",
            (r"\bconnect\b", r"\bbind\b"),
        ),
        Cause(
            None,
            "socket() of a family that this kernel does not have, or whose module is not loaded, or that"
            " RestrictAddressFamilies= of the service or a seccomp filter does not permit",
            "family that is not there",
        ),
    ),
)
_ENETDOWN = Symptom(
    name="ENETDOWN",
    kind="errno",
    other_names=("network is down", "ENODEV", "no such device"),
    description="Error 100, `Network is down`, or 19, `No such device`: the interface that the call names is"
    " down, or does not exist in this network namespace.",
    causes=(
        Cause(
            None,
            "a packet socket, or one with SO_BINDTODEVICE: `ip link show DEVICE`, in the namespace of the process",
            "interface that is down",
        ),
        Cause(
            None,
            "joining a multicast group: no interface has the address, and no route leads to the group",
            "no interface for multicast",
            (r"multicast", r"membership"),
        ),
    ),
)
_EBUSY = Symptom(
    name="EBUSY",
    kind="errno",
    other_names=("device or resource busy",),
    description="Error 16, `Device or resource busy`: another user of the same object is in the way.",
    causes=(
        Cause(
            None,
            "io_uring_register(): files or buffers are registered already; unregister them first",
            "second registration with io_uring",
            (r"io_uring",),
        ),
        Cause(
            None,
            "rmdir() of a cgroup with processes, or write() to cgroup.subtree_control of one with processes of"
            " its own",
            "cgroup that has processes",
            (r"cgroup",),
        ),
        Cause(None, "umount() of a file system with open files (`fuser -vm PATH`)", "open files", (r"u?mount",)),
    ),
)

CALLS = (_ENOENT, _EINPROGRESS, _ENOTCONN, _EISCONN, _EAFNOSUPPORT, _ENETDOWN, _EBUSY)
