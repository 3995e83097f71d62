"""The neighbour tables (ARP, NDP): net.*.neigh.default.gc_thresh*."""

from collections.abc import Sequence

from sockmon.misconceptions import NEIGHBOUR_CONNECTIONS
from sockmon.tunables.tunable import Tunable


def _threshold(number: int, default: int, description: str, misconceptions: Sequence[str] = ()) -> Tunable:
    return Tunable(
        key=f"net.ipv4.neigh.default.gc_thresh{number}",
        aliases_and_twins=(f"net.ipv6.neigh.default.gc_thresh{number}",),
        unit="neighbours",
        scope="initial netns",
        default=str(default),
        takes_effect="at once; all network namespaces share the one table of each family",
        description=description,
        misconceptions=misconceptions,
        ceilings=("neighbour-table",),
        source="net/core/neighbour.c (neigh_alloc)",
        minimum=16,
        maximum=1 << 22,
        unaffected="entries that exist",
        risk="small: kernel memory for each neighbour",
        related=tuple(
            f"net.{family}.neigh.default.gc_thresh{each}" for family in ("ipv4", "ipv6") for each in (1, 2, 3)
        ),
    )


NEIGHBOURS = (
    _threshold(1, 128, "The number of neighbours below which the kernel removes none."),
    _threshold(2, 512, "The number of neighbours above which entries older than 5 s may be removed at once."),
    _threshold(
        3,
        1024,
        "The maximum number of neighbours. At this limit a packet to a new neighbour is lost, while sendto()"
        " reports success. Raise gc_thresh1 and gc_thresh2 with it.",
        (NEIGHBOUR_CONNECTIONS,),
    ),
)
