"""How applications are changed: the exact directive of common software, a table for each remedy."""

from __future__ import annotations

from sockmon.guides.guide import Example

KEEP_ALIVE = (
    Example("nginx", 'upstream: keepalive 64; location: proxy_http_version 1.1; proxy_set_header Connection "";'),
    Example("HAProxy", "backend: http-reuse always"),
    Example(
        "Envoy",
        "common_http_protocol_options: leave max_requests_per_connection unset; 1 closes after each request",
    ),
    Example("Go", "http.Transport{MaxIdleConnsPerHost: 100}, the default is 2; read each body to its end"),
    Example("Java", "one HttpClient for the process; HikariCP (maximumPoolSize) for JDBC"),
    Example("Node", "new http.Agent({ keepAlive: true }); http.globalAgent does so from Node 19 on"),
    Example("Python", "one connection for many requests, in a pool", "keep_alive.py"),
    Example("PostgreSQL", "PgBouncer with pool_mode = transaction between the clients and the server"),
)
"""Connections that are used again instead of closed."""
BIND_NO_PORT = (
    Example("Python", "IP_BIND_ADDRESS_NO_PORT before bind((address, 0))", "bind_address_no_port.py"),
    Example("C", "setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one, sizeof one) before bind()"),
)
"""A source address without a port that is taken from all destinations."""
BACKLOG = (
    Example("nginx", "listen 80 backlog=4096; the default on Linux is 511"),
    Example("HAProxy", "frontend: backlog 4096, the default is its maxconn"),
    Example("Envoy", "listener: tcp_backlog_size: 4096, the default on Linux is net.core.somaxconn"),
    Example("Go", "net.Listen() takes net.core.somaxconn as it is at the start: raise that, and restart"),
    Example("Java", "new ServerSocket(port, 4096), the default is 50; Tomcat: acceptCount; Netty: SO_BACKLOG"),
    Example("Node", "server.listen({ port, backlog: 4096 }), the default is 511"),
    Example("Python", "socket.listen(4096), asyncio: backlog=4096 (default 100), gunicorn --backlog 4096"),
    Example("PostgreSQL", "it asks for 2 × max_connections; put PgBouncer (listen_backlog) in front"),
)
"""A longer accept queue, for bursts."""
WORKERS = (
    Example("nginx", "worker_processes auto; listen 80 reuseport; no blocking call in a worker (aio threads)"),
    Example("HAProxy", "raise maxconn (global and frontend): at maxconn it stops accepting; nbthread"),
    Example("Envoy", "--concurrency, a worker thread for each processor; enable_reuse_port is the default"),
    Example("Go", "go handle(connection) right after Accept(); a LimitListener stops accepting at its number"),
    Example("Java", "Tomcat: maxConnections and maxThreads; a ServerSocket needs a thread that only accepts"),
    Example("Node", "cluster with a worker for each processor; no synchronous call in a handler"),
    Example("Python", "gunicorn --workers N --timeout 30, which replaces a stuck worker", "reuse_port.py"),
    Example("PostgreSQL", "a process for each connection: PgBouncer (pool_mode = transaction) in front"),
)
"""A server that accepts faster, or does not stop accepting."""
CLOSE_AFTER_PEER = (
    Example("nginx", "proxy_read_timeout 60s; keepalive_timeout 60s; stream: proxy_timeout 60s"),
    Example("HAProxy", "timeout client 60s; timeout server 60s; timeout client-fin 10s; timeout server-fin 10s"),
    Example(
        "Envoy", "common_http_protocol_options: idle_timeout; tcp_proxy: idle_timeout; both are 1 h by default"
    ),
    Example("Go", "defer response.Body.Close() after each request; http.Server{ReadTimeout, IdleTimeout}"),
    Example(
        "Java",
        "try (Connection c = pool.getConnection()); HikariCP: leakDetectionThreshold = 60000 logs who keeps one",
    ),
    Example("Node", "leave allowHalfOpen false; read what comes (resume()): a paused socket never gets 'end'"),
    Example("Python", "with connection: … and leave the loop when recv() returns b''", "close_after_peer.py"),
    Example("PostgreSQL", "client_connection_check_interval = 10s, idle_in_transaction_session_timeout = 5min"),
)
"""A connection that is closed when its peer has closed it."""
OPEN_FILES = (
    Example("systemd", "systemctl edit X.service: [Service] LimitNOFILE=65536; then systemctl restart X.service"),
    Example("PAM", "/etc/security/limits.d/90-nofile.conf: www - nofile 65536; for logins only, from the next on"),
    Example("Docker", "docker run --ulimit nofile=1024:65536"),
    Example(
        "nginx", "worker_rlimit_nofile 65536; events { worker_connections 30000; } counts both sides of a proxy"
    ),
    Example("HAProxy", "global: maxconn 30000; it raises its own limit to what that needs; leave ulimit-n unset"),
    Example(
        "Envoy",
        "overload_manager: envoy.resource_monitors.global_downstream_max_connections with"
        " max_active_downstream_connections below the limit; the limit itself is that of the unit",
    ),
    Example("Go", "since Go 1.19 a program raises its soft limit to the hard one: raise the hard limit"),
    Example(
        "Java", "the JVM raises its soft limit to the hard one (-XX:+MaxFDLimit, the default): raise the hard"
    ),
    Example("Node", "node raises its soft limit to the hard one when it starts: raise the hard limit"),
    Example("Python", "resource.setrlimit(RLIMIT_NOFILE, …) up to the hard limit", "raise_descriptor_limit.py"),
    Example(
        "PostgreSQL",
        "max_files_per_process (1000) must fit into the limit; PgBouncer: one for each connection",
    ),
)
"""A higher limit of descriptors that lasts."""
WATCH_FILES = (
    Example("systemd", "no unit has it: /etc/sysctl.d/90-inotify.conf on the host, then sysctl --system"),
    Example("Go", "one fsnotify.NewWatcher() for the program; Add() each directory to it"),
    Example("Java", "one FileSystems.getDefault().newWatchService() for the program; register() each directory"),
    Example("Node", "chokidar.watch(directory, { ignored: /node_modules/ })"),
    Example(
        "Python",
        "watchdog: one schedule(directory, recursive=True); up to version 6 each schedule() takes an instance",
    ),
)
"""Fewer instances and watches of inotify for the same files."""
FEWER_ENTRIES = (
    Example("nft", "table inet raw: type filter hook prerouting priority raw; tcp dport 80 notrack"),
    Example("nft", "the replies too: type filter hook output priority raw; tcp sport 80 notrack"),
    Example("iptables", "-t raw -A PREROUTING -p tcp --dport 80 -j CT --notrack; OUTPUT with --sport 80"),
    Example("Kubernetes", "kube-proxy sets the maximum itself: conntrack.maxPerCore and min of its configuration"),
    Example(
        "nginx", "fewer, longer connections: upstream keepalive 64; keepalive_timeout 60s; keepalive_requests"
    ),
    Example("HAProxy", "http-reuse always; option http-keep-alive"),
    Example("PostgreSQL", "PgBouncer next to the clients: its connections to the server stay open"),
)
"""Fewer entries in the connection tracking table."""
NAT_PORTS = (
    Example("nft", "several addresses: snat to 192.0.2.1-192.0.2.4; masquerade has one, that of the interface"),
    Example("nft", "no range that is narrower than needed: masquerade to :1024-65535, or masquerade alone"),
    Example("iptables", "-t nat -A POSTROUTING -o eth0 -j SNAT --to-source 192.0.2.1-192.0.2.4"),
    Example("Envoy", "HTTP/2 to the destination: http2_protocol_options carries many requests on one connection"),
    Example("Go", "one http.Client for the program; MaxIdleConnsPerHost: 100"),
    Example("Python", "one connection for many requests, in a pool", "keep_alive.py"),
    Example("PostgreSQL", "PgBouncer behind the translation: one connection each instead of one a client"),
)
"""More translated ports, or fewer connections that need one."""
MORE_TASKS = (
    Example(
        "systemd", "systemctl set-property X.service TasksMax=8192, at once and lasting; LimitNPROC= in the unit"
    ),
    Example("PAM", "/etc/security/limits.d/90-nproc.conf: www - nproc 8192; for logins only, from the next on"),
    Example("Docker", "docker update --pids-limit 8192 NAME; docker run --ulimit nproc=8192"),
    Example("Kubernetes", "kubelet: podPidsLimit: 8192"),
)
"""A higher limit of tasks, where each kind of limit is set."""
FEWER_THREADS = (
    Example("nginx", "worker_processes auto; thread_pool default threads=32: neither grows with the connections"),
    Example("HAProxy", "nbthread, at most one for each processor; it does not grow with the connections"),
    Example("Envoy", "--concurrency, a worker thread for each processor, which is the default"),
    Example(
        "Go", "a channel as semaphore around blocking calls and cgo: each holds a thread, a goroutine does not"
    ),
    Example("Java", "Executors.newVirtualThreadPerTaskExecutor() (since 21); Tomcat: maxThreads, 200 by default"),
    Example("Node", "one pool of worker_threads, not a worker for each request; UV_THREADPOOL_SIZE is 4"),
    Example("Python", "asyncio, or ThreadPoolExecutor(max_workers=64)", "event_loop.py"),
    Example("PostgreSQL", "max_connections, a process each; PgBouncer with pool_mode = transaction in front"),
)
"""Connections without a thread or a process of their own."""
RESOLVER = (
    Example("glibc", "/etc/resolv.conf: options single-request-reopen (a socket each), or use-vc (TCP)"),
    Example("Kubernetes", "NodeLocal DNSCache; or dnsConfig: options: [{ name: single-request-reopen }] of a pod"),
    Example(
        "nginx", "resolver 127.0.0.53 valid=30s ipv6=off; sends one query for each name, and keeps the answer"
    ),
    Example("Envoy", "dns_lookup_family: V4_ONLY in the cluster, or in its DnsCluster if it has one"),
    Example("Go", "its resolver reads single-request and use-vc in resolv.conf; GODEBUG=netdns=go selects it"),
    Example("Java", "java.security: networkaddress.cache.ttl=300 (30 s by default): fewer lookups"),
    Example("Node", "dns.lookup() calls getaddrinfo(), so that the options of resolv.conf apply"),
    Example("Python", "getaddrinfo(host, port, family=AF_INET) sends one query instead of two"),
)
"""DNS queries that do not race each other."""
CONNECT_TIMES = (
    Example("curl", "-so /dev/null -w '%{time_namelookup} %{time_connect} %{time_starttransfer}' URL"),
    Example("nginx", "log_format: $upstream_connect_time $upstream_header_time"),
    Example("HAProxy", "option httplog: Tw (waited for a free server), Tc (connect), Tr (response)"),
    Example("Envoy", "cluster.NAME.upstream_cx_connect_ms and upstream_rq_time; upstream_rq_pending_active waits"),
    Example("Go", "httptrace.ClientTrace: DNSDone, ConnectStart, ConnectDone, GotFirstResponseByte"),
    Example("Java", "HikariCP: hikaricp.connections.acquire waits for the pool, .creation is the connect"),
    Example("Node", "events of the socket: lookup, connect, secureConnect; then response of the request"),
    Example("Python", "name, connect and first byte of one request", "connect_times.py"),
    Example("PostgreSQL", "PgBouncer: SHOW POOLS (cl_waiting, maxwait) is the wait for a server connection"),
)
"""Where the time of a new connection goes."""
LOG_SOCKET = (
    Example("systemd", "journald.conf: Storage=volatile if its disk is slow; systemctl restart systemd-journald"),
    Example(
        "rsyslog", 'action(… queue.type="LinkedList" queue.timeoutEnqueue="10"): a slow target blocks nothing'
    ),
    Example(
        "nginx", "access_log /var/log/nginx/access.log main buffer=64k flush=1s; a file instead of the socket"
    ),
    Example("HAProxy", "log ring@NAME local0; ring NAME: size 1048576, server log 127.0.0.1:514"),
    Example("Go", "a goroutine that reads a buffered channel calls syslog.Writer; select with default drops"),
    Example("Java", "Logback: AsyncAppender with <neverBlock>true</neverBlock> and <queueSize>"),
    Example("Python", "logging.handlers.QueueHandler, or a socket that does not block", "log_without_blocking.py"),
    Example("PostgreSQL", "log_destination = 'stderr', logging_collector = on, instead of syslog"),
)
"""A reader of log messages that keeps up, and writers that do not wait for it."""
NEIGHBOURS = (
    Example("sysctl", "/etc/sysctl.d/90-neighbours.conf on the host: gc_thresh3, gc_thresh2 and gc_thresh1"),
    Example("iproute2", "a route via a router instead of a large subnet on the link: one entry for all behind it"),
    Example("Docker", "docker network create --subnet 10.1.0.0/24: several small bridges instead of a large one"),
    Example("Kubernetes", "set it on the node: a pod cannot, the table has no value for each namespace"),
)
"""A larger neighbour table, or fewer direct neighbours."""
RECEIVE_BUFFER = (
    Example("systemd", "ReceiveBuffer=8M in the .socket unit, for a service that gets its socket from systemd"),
    Example("nginx", "stream: listen 514 udp rcvbuf=8m"),
    Example("rsyslog", 'input(type="imudp" port="514" rcvbufSize="8m")'),
    Example("Unbound", "server: so-rcvbuf: 8m"),
    Example("Envoy", "listener: socket_options with level SOL_SOCKET (1), name SO_RCVBUF (8), int_value 8388608"),
    Example("Go", "conn.SetReadBuffer(8 << 20) of a net.UDPConn"),
    Example("Java", "DatagramSocket.setReceiveBufferSize(8 << 20) before it receives"),
    Example("Node", "dgram.createSocket({ type: 'udp4', recvBufferSize: 8 << 20 })"),
    Example("Python", "setsockopt(SOL_SOCKET, SO_RCVBUF, 8 << 20); getsockopt() returns twice what was given"),
)
"""A larger receive buffer of a UDP socket, for bursts."""
READ_FASTER = (
    Example("nginx", "stream: listen 514 udp reuseport, a socket for each worker"),
    Example("rsyslog", 'module(load="imudp" threads="4" batchSize="128"); a queue with workers for the output'),
    Example("Unbound", "server: num-threads: 4 and so-reuseport: yes"),
    Example("Go", "one goroutine that only reads, and a channel to those that work; SO_REUSEPORT for more"),
    Example("Java", "a thread that only receives, and a queue to those that work"),
    Example("Node", "no synchronous call in the handler of 'message'; cluster with a worker for each processor"),
    Example("Python", "a thread or process that only receives, and a queue to those that work"),
)
"""A program that reads faster what it is sent."""
