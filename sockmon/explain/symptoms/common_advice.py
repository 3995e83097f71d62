"""Common advice that is wrong or incomplete, and what is right."""

from sockmon.explain.symptoms.symptom import Cause, Symptom
from sockmon.misconceptions import DESCRIPTORS_64K, LIMITS_CONF, SERVER_PORTS

FOLKLORE = (
    Symptom(
        name="limits.conf",
        kind="advice",
        other_names=("/etc/security/limits.conf", "limits.d", "ulimit", "ulimit -n", "LimitNOFILE"),
        description=LIMITS_CONF,
        causes=(
            Cause(
                "process-fds",
                "for a running process use prlimit --pid PID --nofile=SOFT:HARD; to persist it, set LimitNOFILE=",
            ),
            Cause("user-processes", "the same with --nproc and LimitNPROC="),
        ),
    ),
    Symptom(
        name="64K connections",
        kind="advice",
        other_names=("64k", "65535 connections", "65536 connections", "ports limit a server", "64k connections"),
        description=SERVER_PORTS,
        causes=(
            Cause(
                "ephemeral-ports",
                "ports limit the side that connects: a proxy or a load generator, towards each destination",
            ),
            Cause("process-fds", "the first limit of a server: each accepted connection is one descriptor"),
        ),
    ),
    Symptom(
        name="64K descriptors",
        kind="advice",
        other_names=("64k fds", "64k file descriptors", "65536 fds", "CONFIG_NR_OPEN"),
        description=DESCRIPTORS_64K,
        causes=(
            Cause(
                "process-fds", "programs that call select() are the exception: it takes descriptors up to 1,023"
            ),
        ),
    ),
)
