"""Which local ports the kernel hands out: net.ipv4.ip_local_*, for IPv6 as well."""

from sockmon.tunables.tunable import Tunable

PORTS = (
    Tunable(
        key="net.ipv4.ip_local_port_range",
        unit="first and last port",
        scope="netns",
        default="32768 60999, which is 28,232 ports",
        effect="at once, for every new connect() and bind() to port 0 in that namespace; open connections keep"
        " theirs",
        words="The ports from which the kernel takes the local one of an outgoing connection. It is the limit"
        " towards each destination (address and port) from each source address, not of the host.",
        myths=(
            "It does not limit a server: the connections that it accepts all use its one listening port.",
            "No half of it is kept back. All of it can be used; but when more than half is taken towards one"
            " destination each connect() searches 50 to 100 times longer.",
            "A new value on the host does not reach containers: each network namespace begins with the default.",
        ),
        ceilings=("ephemeral-ports", "bound-ports", "udp-ports"),
        source="net/ipv4/inet_hashtables.c, Documentation/networking/ip-sysctl.rst",
        kind="range",
        most=65535,
        fields=("first port", "last port"),
        keeps="open connections keep their ports; one that was bound to its port before keeps it from all others",
        risk="a listener whose port lies inside may not start again while an outgoing connection has that port",
        couplings=("net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start"),
    ),
    Tunable(
        key="net.ipv4.ip_local_reserved_ports",
        unit="list of ports",
        scope="netns",
        default="empty",
        effect="at once, for every new connect() and bind() to port 0",
        words="Ports of the range that the kernel never hands out by itself: put your listeners' ports here before"
        " you widen the range. A program that asks for one of them by number still gets it.",
        myths=(
            "It is not emptied by writing nothing: the write needs at least a line feed, an empty one changes"
            " nothing and reports no error.",
        ),
        ceilings=("ephemeral-ports", "bound-ports", "udp-ports"),
        source="Documentation/networking/ip-sysctl.rst",
        kind="ports",
        most=65535,
        keeps="open connections keep their ports",
        risk="each port of the range that is reserved is one less for outgoing connections",
        couplings=("net.ipv4.ip_local_port_range",),
    ),
    Tunable(
        key="net.ipv4.ip_unprivileged_port_start",
        unit="port",
        scope="netns",
        default="1024",
        effect="at once, for every new bind()",
        words="The first port that needs no privilege to bind. The range of local ports cannot begin below it:"
        " the kernel answers such a write with EINVAL.",
        ceilings=("ephemeral-ports",),
        source="Documentation/networking/ip-sysctl.rst",
        least=0,
        most=65535,
        keeps="sockets that are bound stay bound",
        risk="lower: any user may take the ports of services that do not run; higher: services without"
        " privilege do not start again",
        couplings=("net.ipv4.ip_local_port_range",),
    ),
    Tunable(
        key="net.ipv4.ip_autobind_reuse",
        unit="switch",
        scope="netns",
        default="0",
        effect="at once, for every new bind() to port 0",
        words="With 1 bind() to port 0 may hand out a port that is in use already, where both sockets have"
        " SO_REUSEADDR set.",
        myths=(
            "It does not lift the limit of bind-before-connect: bind() succeeds, and where the connection exists"
            " already connect() fails with EADDRNOTAVAIL. IP_BIND_ADDRESS_NO_PORT on the socket is the cure.",
        ),
        ceilings=("bound-ports",),
        source="Documentation/networking/ip-sysctl.rst",
        kind="switch",
        allowed={0: "no", 1: "yes"},
        keeps="bound sockets keep their ports",
        risk="where bind() said that there is no port left, connect() may now be what fails",
    ),
)
