"""Which local ports the kernel allocates: net.ipv4.ip_local_*, for IPv6 as well."""

from sockmon.misconceptions import HALF_RANGE, PORT_RANGE, SERVER_PORTS
from sockmon.tunables.tunable import Tunable

_IP_SYSCTL = "Documentation/networking/ip-sysctl.rst"

PORTS = (
    Tunable(
        key="net.ipv4.ip_local_port_range",
        unit="first and last port",
        scope="netns",
        default="32768 60999, which is 28,232 ports",
        takes_effect="at once, for every new connect() and bind() to port 0 in that namespace",
        description="The ports from which the kernel takes the local port of an outgoing connection. The limit"
        " applies to each destination (address and port) from each source address, not to the host.",
        misconceptions=(SERVER_PORTS, PORT_RANGE, HALF_RANGE),
        ceilings=("ephemeral-ports", "bound-ports", "udp-ports"),
        source=f"net/ipv4/inet_hashtables.c, {_IP_SYSCTL}",
        kind="range",
        maximum=65535,
        field_names=("first port", "last port"),
        unaffected="open connections, which keep their ports; a socket that is bound to a port still blocks it"
        " for all others",
        risk="a listener with a port inside the range may fail to start again while an outgoing connection uses"
        " it",
        related=("net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_unprivileged_port_start"),
    ),
    Tunable(
        key="net.ipv4.ip_local_reserved_ports",
        unit="list of ports",
        scope="netns",
        default="empty",
        takes_effect="at once, for every new connect() and bind() to port 0",
        description="Ports of the range that the kernel does not allocate by itself: add the ports of your"
        " listeners before you widen the range. A program that asks for one of them by number still gets it.",
        misconceptions=(
            "Writing nothing does not empty the list: an empty write changes nothing and reports no error; at"
            " least a line feed must be written.",
        ),
        ceilings=("ephemeral-ports", "bound-ports", "udp-ports"),
        source=_IP_SYSCTL,
        kind="ports",
        maximum=65535,
        unaffected="open connections, which keep their ports",
        risk="each reserved port of the range is one less for outgoing connections",
        related=("net.ipv4.ip_local_port_range",),
    ),
    Tunable(
        key="net.ipv4.ip_unprivileged_port_start",
        unit="port",
        scope="netns",
        default="1024",
        takes_effect="at once, for every new bind()",
        description="The first port that can be bound without privilege. The range of local ports cannot start"
        " below it: the kernel rejects such a write with EINVAL.",
        ceilings=("ephemeral-ports",),
        source=_IP_SYSCTL,
        minimum=0,
        maximum=65535,
        unaffected="sockets that are bound",
        risk="lower: any user may take the ports of services that are down; higher: services without privilege do"
        " not start again",
        related=("net.ipv4.ip_local_port_range",),
    ),
    Tunable(
        key="net.ipv4.ip_autobind_reuse",
        unit="switch",
        scope="netns",
        default="0",
        takes_effect="at once, for every new bind() to port 0",
        description="With 1, bind() to port 0 may return a port that is in use, if both sockets have SO_REUSEADDR"
        " set.",
        misconceptions=(
            "ip_autobind_reuse does not remove the limit of sockets that are bound before they connect: bind()"
            " succeeds, but connect() fails with EADDRNOTAVAIL if the connection exists already. Set"
            " IP_BIND_ADDRESS_NO_PORT on the socket instead.",
        ),
        ceilings=("bound-ports",),
        source=_IP_SYSCTL,
        kind="switch",
        allowed={0: "no", 1: "yes"},
        unaffected="bound sockets, which keep their ports",
        risk="connect() may fail in cases in which bind() failed before",
    ),
)
