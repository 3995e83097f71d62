"""What could not be read, and why."""

from __future__ import annotations

import msgspec

HIDDEN_ANCESTORS = "ancestors"
"""The part of `cgroups` that is missing in a cgroup namespace."""
OUTER_TASKS = "outer tasks"
"""The reader of the tasks outside of a private pid namespace."""
HIDDEN_PROCESSES = "processes of other users"
"""What is not judged if /proc is mounted with hidepid."""


class Missing(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that could not be read, and why."""

    reader: str
    reason: str
    part: str = ""
    """The part of it, such as the controller of `cgroups`. Empty: all of it, or not noted in an older
    recording."""
    unjudged: str = ""
    """Whose limits were not judged because of it, in a few words: `3 other network namespaces`. Empty: all were
    judged, or an older recording does not have it."""
    short: str = ""
    """The reason in fewer words, for a terminal; empty: the reason is short."""
    netns: int = 0
    """The inode of the network namespace that it is about, if several are sampled; 0: the only one, or the
    host."""
