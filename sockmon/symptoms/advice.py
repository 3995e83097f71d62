"""Old advice that people arrive with, answered."""

from sockmon.symptoms.symptom import Clue, Symptom

ADVICE = (
    Symptom(
        name="limits.conf",
        kind="advice",
        also=("/etc/security/limits.conf", "limits.d", "ulimit", "ulimit -n", "LimitNOFILE"),
        words="/etc/security/limits.conf and limits.d are read by PAM when somebody logs in. A service that"
        " systemd starts does not log in: it gets LimitNOFILE= and LimitNPROC= of its unit, a container what its"
        " runtime gives it.",
        clues=(
            Clue(
                "process-fds", "for a running process: prlimit --pid PID --nofile=SOFT:HARD; to last: LimitNOFILE="
            ),
            Clue("user-processes", "the same with --nproc and LimitNPROC="),
        ),
    ),
    Symptom(
        name="64K connections",
        kind="advice",
        also=("64k", "65535 connections", "65536 connections", "ports limit a server", "64k connections"),
        words="Ports do not limit a server. A connection is told apart by both addresses and both ports, so that"
        " all inbound ones share the listening port; 65,535 is the most that one client address can have to one"
        " port of one server. Measured: 18,000 inbound with a range of 100 ports.",
        clues=(
            Clue("ephemeral-ports", "they limit who connects: a proxy, or a load generator, to each destination"),
            Clue("process-fds", "what limits a server first: each accepted connection is one descriptor"),
        ),
    ),
    Symptom(
        name="64K descriptors",
        kind="advice",
        also=("64k fds", "64k file descriptors", "65536 fds", "CONFIG_NR_OPEN"),
        words="A process is not limited to 64K descriptors. The limit is the lower one of RLIMIT_NOFILE and"
        " fs.nr_open, which is 1,048,576 by default and a sysctl since Linux 2.6.25. There is no CONFIG_NR_OPEN.",
        clues=(
            Clue("process-fds", "programs that call select() are the exception: it takes descriptors below 1024"),
        ),
    ),
)
