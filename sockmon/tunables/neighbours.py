"""The neighbour tables (ARP, NDP): net.*.neigh.default.gc_thresh*."""

from sockmon.tunables.tunable import Tunable


def _threshold(number: int, default: int, words: str) -> Tunable:
    return Tunable(
        key=f"net.ipv4.neigh.default.gc_thresh{number}",
        also=(f"net.ipv6.neigh.default.gc_thresh{number}",),
        unit="neighbours",
        scope="initial netns",
        default=str(default),
        effect="at once; all network namespaces share the one table of each family",
        words=words,
        myths=(
            "It counts hosts on the same link, containers included, not connections: what lies behind a router"
            " takes one entry together.",
        )
        if number == 3
        else (),
        ceilings=("neighbour-table",),
        source="net/core/neighbour.c (neigh_alloc)",
        least=16,
        most=1 << 22,
        keeps="neighbours that are known",
        risk="small: kernel memory for each neighbour",
        couplings=tuple(
            f"net.{family}.neigh.default.gc_thresh{each}" for family in ("ipv4", "ipv6") for each in (1, 2, 3)
        ),
    )


NEIGHBOURS = (
    _threshold(1, 128, "Below so many neighbours the kernel throws none away."),
    _threshold(2, 512, "Above so many neighbours those that are older than 5 s may go at once."),
    _threshold(
        3,
        1024,
        "The most neighbours there can be. At it a packet to a new one is lost, while sendto() reports success;"
        " raise gc_thresh1 and gc_thresh2 with it.",
    ),
)
