"""Lines of PostgreSQL, Redis, Elasticsearch and MySQL."""

from tests.log_lines.line import ABOVE, LISTENER, TASKS, Sources

DATABASES: Sources = {
    "postgres/postgres: src/backend/postmaster/postmaster.c": (
        ("LOG:  could not fork new process for connection: Resource temporarily unavailable", "EAGAIN", TASKS),
        ("FATAL:  sorry, too many clients already", "max_connections", "setting of PostgreSQL"),
    ),
    "postgres/postgres: src/backend/libpq/pqcomm.c": (
        ('LOG:  could not bind IPv4 address "127.0.0.1": Address already in use', "EADDRINUSE", LISTENER),
        ("LOG:  could not accept new connection: Too many open files", "EMFILE", "process-fds"),
    ),
    "postgres/postgres: src/backend/storage/file/fd.c": (
        (
            "LOG:  out of file descriptors: Too many open files in system; release and retry",
            "ENFILE",
            "system-fds",
        ),
    ),
    "postgres/postgres: src/backend/port/sysv_sema.c": (
        ("FATAL:  could not create semaphores: No space left on device", "ENOSPC", "System V IPC"),
    ),
    "psql 15, run": (
        (
            'connection to server on socket "/run/postgresql/.s.PGSQL.5432" failed: Resource temporarily'
            " unavailable",
            "EAGAIN",
            "accept-queue",
        ),
        (
            'connection to server on socket "/tmp/.s.PGSQL.5432" failed: No such file or directory',
            "ENOENT",
            "file of a unix socket",
        ),
        (
            'connection to server at "10.0.0.9", port 5432 failed: timeout expired',
            "ETIMEDOUT",
            "accept-queue",
        ),
        (
            'connection to server at "127.0.0.1", port 5432 failed: Connection refused',
            "ECONNREFUSED",
            "nothing listens on the port",
        ),
    ),
    "redis/redis: src/server.c": (
        (
            "# WARNING: The TCP backlog setting of 511 cannot be enforced because /proc/sys/net/core/somaxconn is"
            " set to the lower value of 128.",
            "tcp-backlog",
            "accept-queue",
        ),
        (
            "# Warning: Could not create server TCP listening socket *:6379: bind: Address already in use",
            "EADDRINUSE",
            LISTENER,
        ),
        (
            "# Server can't set maximum open files to 10032 because of OS error: Operation not permitted.",
            "EPERM",
            ABOVE,
        ),
        (
            "# You requested maxclients of 10000 requiring at least 10032 max file descriptors.",
            "max-file-descriptors",
            "process-fds",
        ),
        (
            "# Current maximum open files is 4096. maxclients has been reduced to 4064 to compensate for low"
            " ulimit. If you need higher maxclients increase 'ulimit -n'.",
            "max-file-descriptors",
            "process-fds",
        ),
    ),
    "redis/redis: src/rdb.c": (
        ("# Can't save in background: fork: Cannot allocate memory", "ENOMEM", "overcommit"),
    ),
    "redis/redis: src/socket.c, src/anet.c": (
        ("# Accepting client connection: accept: Too many open files", "EMFILE", "process-fds"),
    ),
    "redis/redis: src/networking.c": (
        (
            "# Error registering fd event for the new client connection: Numerical result out of range"
            " (addr=10.0.0.1:5000 laddr=10.0.0.9:6379)",
            "max_connections",
            "setting of Redis",
        ),
        ("(error) ERR max number of clients reached", "max_connections", "setting of Redis"),
    ),
    "redis/redis: src/syscheck.c": (
        (
            "# WARNING Memory overcommit must be enabled! Without it, a background save or replication may fail"
            " under low memory condition.",
            "ENOMEM",
            "overcommit",
        ),
    ),
    "elastic/elasticsearch: server/src/main/java/org/elasticsearch/bootstrap/BootstrapChecks.java": (
        (
            "max virtual memory areas vm.max_map_count [65530] is too low, increase to at least [262144]",
            "max_map_count-check",
            "memory-maps",
        ),
        (
            "max file descriptors [4096] for elasticsearch process is too low, increase to at least [65535]",
            "max-file-descriptors",
            "process-fds",
        ),
        (
            "max number of threads [3795] for user [elastic] is too low, increase to at least [4096]",
            "max-number-of-threads",
            "user-processes",
        ),
    ),
    "mysql/mysql-server: storage/innobase/os/os0file.cc": (
        (
            "[ERROR] [MY-012584] [InnoDB] io_setup() failed with EAGAIN after 5 attempts.",
            "EAGAIN",
            "aio-events",
        ),
    ),
    "scylladb/seastar: src/core/linux-aio.cc": (
        (
            "[shard 1] seastar - Could not setup Async I/O: Resource temporarily unavailable. The most common"
            " cause is not enough request capacity in /proc/sys/fs/aio-max-nr.",
            "EAGAIN",
            "aio-events",
        ),
    ),
    "mysql/mysql-server: sql/mysqld.cc, sql/conn_handler/connection_handler_per_thread.cc": (
        (
            "[Warning] Could not increase number of max_open_files to more than 1024 (request: 5000)",
            "max-file-descriptors",
            "process-fds",
        ),
        ("[ERROR] Can't create thread to handle new connection(errno= 11)", "EAGAIN", TASKS),
    ),
}
