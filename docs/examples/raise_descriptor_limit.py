"""Raise the soft limit of descriptors up to the hard one, which needs no privilege (getrlimit(2)).

Only for programs that do not call select(): that one breaks above descriptor 1,023."""

import resource
import sys


def raise_limit(wanted: int) -> int:
    """Return the new soft limit: `wanted`, or the hard limit if that is lower."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    new = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    if soft == resource.RLIM_INFINITY or new <= soft:
        return soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (new, hard))
    return new


if __name__ == "__main__":
    print(raise_limit(int(sys.argv[1])))
