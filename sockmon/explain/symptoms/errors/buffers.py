"""ENOMEM, ENOBUFS and EMSGSIZE: memory, a count of mappings, or a queue of packets.

Source: mmap.c, mprotect.c, mlock.c, mremap.c and util.c of mm, kernel/fork.c, kernel/pid.c, io_uring/rsrc.c and
kbuf.c, net/core/sock.c, net/packet/af_packet.c, net/netlink/af_netlink.c, net/ipv4/udp.c (Linux 6.12)."""

from sockmon.explain.symptoms.symptom import Cause, Symptom
from sockmon.misconceptions import THREADS_32K

_MAP = (r"\bmmap\b(?!: )", r"\bMap failed\b", r"commit_memory", r"\bmprotect\b", r"\bmunmap\b", r"\bmremap\b")
_FORK = (r"\bv?fork\w*\b", r"fork/exec", r"\bclone3?\b", r"\bspawn\w*\b")

_ENOMEM = Symptom(
    name="ENOMEM",
    kind="errno",
    other_names=(
        *("cannot allocate memory", "not enough space", "map failed"),
        *("not enough memory for the allocation", "exceed data ulimit", "memory overcommit must be enabled"),
        *("memory is not locked", "unable to lock JVM memory"),
    ),
    description="Error 12, `Cannot allocate memory`. If memory is free, a count has reached its limit.",
    causes=(
        Cause(
            "memory-maps",
            "from mmap(), mprotect() or munmap(), while fork() still works: /proc/PID/maps has as many lines as"
            " vm.max_map_count, 65,530 by default",
            marks=_MAP,
            key="maps",
        ),
        Cause(
            None,
            "from fork() of a large process, or mmap(): vm.overcommit_memory is 2 and Committed_AS is near"
            " CommitLimit in /proc/meminfo; with 0, one request is larger than memory and swap together",
            "overcommit",
            (*_FORK, *_MAP, r"overcommit", r"__vm_enough_memory", r"map anonymous shared memory"),
        ),
        Cause(
            "cgroup-memory",
            "the cgroup is at its limit, and the call needed memory of the kernel: socket(), epoll_ctl(),"
            " clone() and the like. Page faults have its largest process killed instead",
            marks=(r"\bsocket\(\)", r"epoll_ctl", r"inotify", r"timerfd", r"eventfd", r"cgroup"),
        ),
        Cause(
            None,
            "from mmap() or brk(): RLIMIT_AS or RLIMIT_DATA of this process (/proc/PID/limits)",
            "address space of a process",
            (*_MAP, r"data ulimit"),
        ),
        Cause(
            None,
            "from fork() or clone() alone: the first process of its pid namespace has ended, or a child of"
            " unshare(CLONE_NEWPID) has; memory has nothing to do with it",
            "pid namespace without its first process",
            _FORK,
        ),
        Cause(
            "memlock",
            "from mlock() and mlockall(): RLIMIT_MEMLOCK (Max locked memory in /proc/PID/limits) of the process,"
            " VmLck in its status. From io_uring_register() of buffers, and io_uring_setup() before Linux 5.12 and"
            " since 6.14: the same limit, for all rings of the user together; VmPin in the status of each",
            marks=(r"io_uring", r"\bmlock\w*\b", r"MEMLOCK", r"\block(?:ed|ing)?\b.*\bmemory\b|memory.* locked"),
        ),
        Cause(
            None,
            "from mmap() or shmget() with huge pages: HugePages_Free in /proc/meminfo is too low"
            " (vm.nr_hugepages)",
            "huge pages",
            (r"huge", r"shared memory segment", r"anonymous shared memory"),
        ),
        Cause(
            None,
            "from setsockopt() of filters or groups: net.core.optmem_max",
            "option memory of a socket",
            (r"setsockopt", r"SO_ATTACH_FILTER"),
        ),
    ),
    misconceptions=(THREADS_32K,),
)
_SEND = (r"\bsend\w*\b", r"\bping\b", r"\bwrite\w*\b")
_ENOBUFS = Symptom(
    name="ENOBUFS",
    kind="errno",
    related=("Ip.OutDiscards", "Udp.SndbufErrors"),
    other_names=("no buffer space available", "kernel receive buffer overrun", "reached system memory limit"),
    description="Error 105, `No buffer space available`. Raising socket buffers helps in one of these cases only.",
    causes=(
        Cause(
            "transmit-queue",
            "send() of a packet or raw socket (ping, DHCP, VRRP, scanners), or of a UDP socket with IP_RECVERR:"
            " the transmit queue of the interface is full. `dropped` in `tc -s qdisc show dev DEVICE` moves with"
            " each error; its limit is that of the qdisc, or txqueuelen (ip link). Other UDP sockets get no error"
            " and lose the datagram",
            marks=_SEND,
        ),
        Cause(
            "neighbour-table",
            "the neighbour table is full (table_fulls in /proc/net/stat/arp_cache moves); UDP hides the error and"
            " counts Ip.OutDiscards",
            marks=_SEND,
        ),
        Cause(
            None,
            "recv() of a netlink socket (udev, keepalived, systemd-networkd, a DHCP client): messages were lost,"
            " because the reader was slower than the events. Its buffer: SO_RCVBUFFORCE, or net.core.rmem_max;"
            " Drops in /proc/net/netlink counts them",
            "netlink receive buffer",
            (r"\brtnl\b", r"netlink", r"\brecv\w*\b", r"udev"),
        ),
        Cause(
            None,
            "io_uring: a request with IOSQE_BUFFER_SELECT found no buffer in its group; the program has to give"
            " back buffers earlier",
            "provided buffers of io_uring",
            (r"io_uring", r"\bcqe\b", r"buffer group"),
        ),
        Cause(
            None,
            "sendmsg() with large control messages: net.core.optmem_max",
            "option memory of a socket",
            (r"sendmsg.*\bcontrol\b", r"optmem"),
        ),
        Cause(
            None,
            "setsockopt(IP_ADD_MEMBERSHIP): net.ipv4.igmp_max_memberships, 20 groups of one socket by default;"
            " with sources, net.ipv4.igmp_max_msf",
            "multicast groups of a socket",
            (r"multicast", r"\bmembership", r"ADD_MEMBERSHIP", r"\bjoin\w*\b"),
        ),
        Cause(
            "memlock",
            "send() with MSG_ZEROCOPY, or setsockopt(XDP_UMEM_REG): the pages that the user has pinned reach"
            " RLIMIT_MEMLOCK",
            marks=(r"zero ?copy", r"\bumem\b", r"XDP_UMEM_REG"),
        ),
        Cause(
            "cgroup-memory",
            "socket() itself fails: the kernel has no memory for it, mostly because the cgroup is at its limit",
            marks=(r"\bsocket\(", r"\bsocket:", r"system memory limit"),
        ),
    ),
)
_EMSGSIZE = Symptom(
    name="EMSGSIZE",
    kind="errno",
    other_names=("message too long",),
    description="Error 90, `Message too long`: one message is larger than may be sent at once. It is not a count.",
    causes=(
        Cause(
            None,
            "a UDP datagram above 65,507 bytes of data, or above the path MTU with IP_PMTUDISC_DO",
            "size of a datagram",
        ),
        Cause(
            None,
            "a unix datagram that is larger than SO_SNDBUF, net.core.wmem_default by default",
            "send buffer of a socket",
            (r"unix", r"/dev/log"),
        ),
        Cause(None, "sendmsg() with more than 1,024 pieces (UIO_MAXIOV)", "pieces of a message"),
    ),
)

BUFFERS = (_ENOMEM, _ENOBUFS, _EMSGSIZE)
