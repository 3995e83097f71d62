"""Lines of systemd, kubelet, containerd, PAM, commands and the kernel."""

from tests.log_lines.line import ABOVE, TASKS, Sources

SYSTEM: Sources = {
    "systemd/systemd: src/tty-ask-password-agent/tty-ask-password-agent.c": (
        ("Failed to allocate directory watch: Too many open files", "EMFILE", "inotify-instances"),
    ),
    "systemd/systemd: src/libsystemd/sd-netlink/netlink-socket.c": (
        ("rtnl: kernel receive buffer overrun", "ENOBUFS", "netlink receive buffer"),
    ),
    "kubernetes/kubernetes: pkg/kubelet/kubelet.go": (
        (
            'kubelet.go:1414] "Failed to start cAdvisor" err="inotify_init: too many open files"',
            "EMFILE",
            "inotify-instances",
        ),
        (
            'kubelet.go:1414] "Failed to start cAdvisor" err="inotify_add_watch /sys/fs/cgroup/cpu,cpuacct: no'
            ' space left on device"',
            "ENOSPC",
            "inotify-watches",
        ),
    ),
    "containerd/containerd: internal/cri/server/cni_conf_syncer.go": (
        ("failed to create fsnotify watcher: too many open files", "EMFILE", "inotify-instances"),
    ),
    "containerd/containerd: internal/oom/utils.go": (
        ("failed to create inotify fd: too many open files", "EMFILE", "inotify-instances"),
    ),
    "containerd/containerd: core/runtime/v2/task_manager.go, shim_manager.go": (
        (
            "failed to start shim: start failed: fork/exec /usr/bin/containerd-shim-runc-v2: resource temporarily"
            " unavailable",
            "EAGAIN",
            TASKS,
        ),
    ),
    "linux-pam/linux-pam: modules/pam_limits/pam_limits.c": (
        (
            "sshd[812]: pam_limits(sshd:session): Could not set limit for 'nofile': Operation not permitted",
            "EPERM",
            "limits.conf above fs.nr_open",
        ),
        (
            "su: pam_limits(su-l:session): Could not set limit for 'nofile' to soft=2097152, hard=2097152:"
            " Operation not permitted; uid=0,euid=0",
            "EPERM",
            "limits.conf above fs.nr_open",
        ),
        (
            "sshd[812]: pam_limits(sshd:session): Could not set limit for 'nproc': Operation not permitted",
            "EPERM",
            ABOVE,
        ),
    ),
    "bminor/bash: jobs.c": (
        ("bash: fork: retry: Resource temporarily unavailable", "EAGAIN", TASKS),
        ("-bash: fork: retry: No child processes", "EAGAIN", TASKS),
    ),
    "bash 5.2, run": (
        ("bash: ulimit: open files: cannot modify limit: Operation not permitted", "EPERM", ABOVE),
        ("bash: cannot make pipe for command substitution: Too many open files", "EMFILE", "process-fds"),
        ("bash: /dev/tcp/127.0.0.1/8080: Connection refused", "ECONNREFUSED", "nothing listens on the port"),
    ),
    "util-linux 2.38, setpriv, run": (
        ("setpriv: failed to execute bash: Resource temporarily unavailable", "EAGAIN", "user-processes"),
    ),
    "curl 7.88, run": (
        ("curl: (56) Recv failure: Connection reset by peer", "ECONNRESET", "peer closed with unread data"),
    ),
    "qemu/qemu: block/linux-aio.c": (
        ("failed to create linux AIO context: Resource temporarily unavailable", "EAGAIN", "aio-events"),
    ),
    "coreutils/coreutils: src/tail.c": (
        ("tail: inotify cannot be used, reverting to polling: Too many open files", "EMFILE", "inotify-instances"),
        ("tail: inotify resources exhausted", "ENOSPC", "inotify-watches"),
    ),
    "iputils/iputils: ping/ping_common.c": (
        ("ping: sendmsg: No buffer space available", "ENOBUFS", "transmit-queue"),
        ("ping: sendmsg: Operation not permitted", "EPERM", "conntrack-table"),
    ),
    "torvalds/linux: net/netfilter/nf_conntrack_core.c": (
        ("nf_conntrack: nf_conntrack: table full, dropping packet", "conntrack.drop", "conntrack-table"),
        (
            "nf_conntrack: nf_conntrack: table full in netns 4026532281, dropping packet",
            "conntrack.drop",
            "conntrack-table",
        ),
    ),
    "torvalds/linux: net/ipv4/tcp_input.c": (
        (
            "TCP: request_sock_TCP: Possible SYN flooding on port [::]:8800. Sending cookies.",
            "TCPReqQFullDoCookies",
            "syn-queue",
        ),
        (
            "TCP: request_sock_TCP: Possible SYN flooding on port 0.0.0.0:8800. Dropping request.",
            "TCPReqQFullDrop",
            "syn-queue",
        ),
    ),
    "torvalds/linux: net/ipv4/tcp.c": (
        ("TCP: too many orphaned sockets", "TCPAbortOnMemory", "tcp-orphans"),
        ("TCP: out of memory -- consider tuning tcp_mem", "TCPAbortOnMemory", "tcp-memory"),
    ),
    "torvalds/linux: net/core/neighbour.c": (
        ("neighbour: arp_cache: neighbor table overflow!", "table_fulls", "neighbour-table"),
        ("neighbour: ndisc_cache: neighbor table overflow!", "table_fulls", "neighbour-table"),
    ),
    "torvalds/linux: kernel/cgroup/pids.c": (
        ("cgroup: fork rejected by pids controller in /system.slice/web.service", "pids.events", "cgroup-pids"),
    ),
    "torvalds/linux: fs/file_table.c": (("VFS: file-max limit 11658 reached", "ENFILE", "system-fds"),),
    "torvalds/linux: net/socket.c": (("socket: no more sockets", "ENFILE", "memory for a socket"),),
    "torvalds/linux: net/ipv4/udp.c": (
        ("UDP: bad checksum. From 10.0.0.9:53 to 10.0.0.5:39142 ulen 120", "InCsumErrors", "damaged packets"),
    ),
    "torvalds/linux: kernel/events/core.c": (
        (
            "perf: interrupt took too long (3142 > 3131), lowering kernel.perf_event_max_sample_rate to 63000",
            "perf_event_max_sample_rate",
            "slow interrupts of perf",
        ),
    ),
    "torvalds/linux: mm/page_alloc.c": (
        (
            "swapper/2: page allocation failure: order:0, mode:0x484020(GFP_ATOMIC|__GFP_COMP)",
            "page allocation failure",
            "memory for packets",
        ),
    ),
    "torvalds/linux: net/core/dev.c": (
        (
            "unregister_netdevice: waiting for eth0 to become free. Usage count = 1",
            "unregister_netdevice",
            "interface that is still in use",
        ),
    ),
    "torvalds/linux: mm/util.c": (
        (
            "__vm_enough_memory: pid: 812, comm: java, bytes: 8589934592 not enough memory for the allocation",
            "ENOMEM",
            "overcommit",
        ),
    ),
    "torvalds/linux: mm/mmap.c": (
        (
            "mmap: java (812): VmData 4299161600 exceed data ulimit 4294967296. Update limits or use boot option"
            " ignore_rlimit_data.",
            "ENOMEM",
            "address space of a process",
        ),
    ),
    "torvalds/linux: mm/oom_kill.c": (
        (
            "Memory cgroup out of memory: Killed process 812 (java) total-vm:4299161kB, anon-rss:1048576kB",
            "oom_kill",
            "cgroup-memory",
        ),
        (
            "Out of memory: Killed process 812 (java) total-vm:4299161kB, anon-rss:1048576kB",
            "oom_kill",
            "memory of the host",
        ),
    ),
    "torvalds/linux: lib/ratelimit.c": (
        ("net_ratelimit: 1284 callbacks suppressed", "net_ratelimit", "repeated lines"),
    ),
    "torvalds/linux: net/sched/sch_generic.c": (
        (
            "e1000 0000:00:03.0 eth0: NETDEV WATCHDOG: CPU: 2: transmit queue 0 timed out 5216 ms",
            "netdev-watchdog",
            "interface that does not transmit",
        ),
    ),
}
