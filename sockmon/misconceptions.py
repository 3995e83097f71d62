"""Common misconceptions, each corrected once: ceilings, tunables, symptoms and plateaus show them from here.

A misconception that concerns one row alone stays in that row.
"""

TIME_WAIT_LENGTH = (
    "tcp_fin_timeout does not shorten TIME_WAIT, which always lasts 60 s (TCP_TIMEWAIT_LEN, a constant of the"
    " kernel). It limits FIN_WAIT2 without an owner. Measured with 5 s: FIN_WAIT2 ended after 5.2 s, TIME_WAIT"
    " after 61.2 s."
)
TW_RECYCLE = (
    "tcp_tw_recycle was removed in Linux 4.12, because it dropped connections of clients behind NAT; a script that"
    " sets it fails. tcp_tw_reuse is a different setting: it applies to connections that this side opens, and does"
    " not break NAT."
)
TW_REUSE_BOUND = (
    "tcp_tw_reuse does not help sockets that are bound before they connect: their port stays blocked while it is"
    " in TIME_WAIT."
)
TW_BUCKETS = (
    "Lowering tcp_max_tw_buckets does not free ports: it only removes the protection of TIME_WAIT against packets"
    " of an old connection. An entry costs 256 bytes."
)
CLOSE_WAIT_TIMEOUT = (
    "No timeout of the kernel ends CLOSE_WAIT: tcp_fin_timeout limits FIN_WAIT2 on the other side. TCP keepalive"
    " can end the connection, but its descriptor stays open until the application calls close()."
)
SERVER_PORTS = (
    "Ports do not limit a server: all its inbound connections share the listening port. 65,535 is the maximum"
    " from one client address to one port of one server address. Measured: 18,000 inbound connections with a"
    " range of 100 ports."
)
PORT_RANGE = (
    "28,232 is not a limit of the host: it is the size of the default range 32768–60999, which applies to each"
    " destination. A further destination or source address has as many again."
)
HALF_RANGE = (
    "The kernel does not reserve half of the range: every port can be used. But when more than half is in use"
    " towards one destination, each connect() searches 50 to 100 times longer."
)
THREADS_32K = (
    "A server that stops near 32,700 is not out of ports: accepted connections use none, and a client with the"
    " default range stops at 28,232. If fork() still works, vm.max_map_count is the limit (two maps for each"
    " thread); if fork() fails too, it may be kernel.pid_max."
)
DESCRIPTORS_64K = (
    "65,536 is not the kernel's limit of descriptors: the limit is the lower of RLIMIT_NOFILE and fs.nr_open,"
    " which is 1,048,576 by default and a sysctl since Linux 2.6.25. CONFIG_NR_OPEN does not exist."
)
DESCRIPTORS_OF_CONNECTION = (
    "An accepted connection uses one descriptor, not up to three. A proxy uses two for each client, one on each"
    " side; a pipe for splice() or a file that is sent adds to that. Connections in the accept queue or in"
    " TIME_WAIT use none."
)
LIMITS_CONF = (
    "/etc/security/limits.conf applies to login sessions only (PAM). A systemd service gets LimitNOFILE= and"
    " LimitNPROC= of its unit, a container gets the limits that its runtime sets."
)
FILE_MAX_ROOT = (
    "A root shell that can open files proves nothing: processes with CAP_SYS_ADMIN are exempt from fs.file-max."
)
INOTIFY_EMFILE = (
    "ulimit -n and fs.file-max do not help against EMFILE from inotify_init(): the limit is"
    " fs.inotify.max_user_instances, which all processes of the user share."
)
FANOTIFY_EMFILE = (
    "ulimit -n and fs.file-max do not help against EMFILE from fanotify_init(): the limit is"
    " fs.fanotify.max_user_groups, which all processes of the user share."
)
NPROC_SCOPE = (
    "RLIMIT_NPROC does not count the tasks of one process or service: it counts all threads of the real user, in"
    " all containers that share the user namespace."
)
NPROC_ROOT = (
    "RLIMIT_NPROC does not apply to root, nor to a process with CAP_SYS_RESOURCE or CAP_SYS_ADMIN: a test as root"
    " proves nothing. It does apply to root of a user namespace that an ordinary user created."
)
STACK_MEMORY = (
    "A thread does not take the 8 MB of its stack: that is address space (ulimit -s, -Xss). Its memory is what"
    " it has used of that, and about 28 kB of the kernel. A smaller stack does not save memory maps: a thread has"
    " two of them."
)
PID_NAMESPACE = (
    "kernel.pid_max in a container does not show the limit of the host: since Linux 6.14 each pid namespace has"
    " its own value, 4,194,304 at first, and the values of the namespaces above it apply as well."
)
SOMAXCONN_ALONE = (
    "Raising somaxconn alone changes nothing: a running listener keeps the backlog of its listen() call, and a"
    " program that asks for 128 or 511 still gets that."
)
LONGER_QUEUE = (
    "A longer queue does not make a server accept faster: it absorbs bursts. If the server cannot accept (it is"
    " stuck or out of descriptors), any queue fills."
)
LONGER_DATAGRAM_QUEUE = "A longer queue does not help if the reader is stuck: it only takes longer to fill."
RESTART_DATAGRAM = (
    "Restarting the reader does not always renew the limit of its socket: one that systemd made (a .socket unit,"
    " as that of /dev/log) belongs to systemd, and stays."
)
NEIGHBOURS_OF_NAMESPACE = (
    "`ip neigh` does not show the whole table: it lists one namespace, so the table of a host with many containers"
    " can overflow while each of them seems empty."
)
NEIGHBOUR_CONNECTIONS = (
    "gc_thresh3 does not limit connections: it limits hosts on the same link, containers included, one entry each."
    " All hosts behind one router need one entry."
)
SYN_BACKLOG = (
    "tcp_max_syn_backlog has no effect while tcp_syncookies is 1, the default: the listener's backlog limits the"
    " SYN queue. Measured with a value of 16: all of 100 connections were accepted; with tcp_syncookies 0, 13"
    " were held."
)
ABORT_ON_OVERFLOW = (
    "tcp_abort_on_overflow has no effect on SYNs that find the accept queue full: they are dropped either way,"
    " and the client retries once per second (before Linux 6.5 after 1 s, 2 s and 4 s)."
)
TCP_MEM_IDLE = (
    "tcp_mem does not limit the number of open connections: idle ones use almost none of it. A million of them"
    " took about 5,000 pages."
)
TCP_MEM_PAGES = (
    "tcp_mem counts pages of all sockets together, mostly of 4,096 bytes; tcp_rmem and tcp_wmem count bytes of one"
    " socket."
)
RMEM_MAX_ALONE = (
    "net.core.rmem_max alone changes nothing for a program that asks for no size: it gets rmem_default."
)
CONNTRACK_OLD_NAME = (
    "net.ipv4.ip_conntrack_max and net.ipv4.netfilter.ip_conntrack_max no longer exist: they are names of Linux"
    " 2.4 and 2.6. The key is net.netfilter.nf_conntrack_max, in the initial network namespace."
)
