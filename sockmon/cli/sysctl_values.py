"""The values of sysctls for the verbs that print pages."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import closing

from sockmon.errors import ReadError
from sockmon.kernel import sysctl
from sockmon.kernel.netns import open_current, open_netns


def read_sysctls(keys: Iterable[str], netns: str | None) -> dict[str, str | ReadError]:
    """Return each value, or why there is none; those below net are of the namespace `netns` (None: our own)."""
    found: dict[str, str | ReadError] = {}
    keys = tuple(keys)
    paths = tuple(map(sysctl.path, keys))
    other = open_netns(netns, paths) if netns else open_current()
    with closing(other), closing(open_current()) as own:
        for key in keys:
            try:
                found[key] = sysctl.read(other if key.startswith("net.") else own, key)
            except ReadError as error:
                found[key] = error
    return found
