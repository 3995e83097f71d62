"""Keys without a row: those that sockmon explains and does not tune, those that Linux has removed, and those of
this kernel that sockmon does not know."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from sockmon.tunables.tunable import NETNS_AS_HOST, SCOPE_TEXT

LIMITS_NOTHING = "It limits no connections."


@dataclass(frozen=True, kw_only=True)
class OtherKey:
    """A sysctl that sockmon explains in a line, because no ceiling depends on it."""

    key: str
    """Dotted, as for sysctl(8); `*` is `all`, `default` or an interface."""
    description: str
    """What it does."""
    limits: str = LIMITS_NOTHING
    """What it limits, if that is not connections."""
    scope_text: str = ""
    """What shares one value; empty if that is not known."""


@dataclass(frozen=True, kw_only=True)
class RemovedKey:
    """A sysctl that no current kernel has."""

    key: str
    other_names: Sequence[str] = field(default=())
    """Older names of the same number, which are gone as well."""
    description: str
    """What it did."""
    removed: str
    """Since which version the file does not exist."""
    instead: str
    """What to do instead."""
    misconceptions: Sequence[str] = ()
    replaced_by: str = ""
    """The key that took its place, if it was only renamed."""
    source: str
    """The commit or document that has it."""

    @property
    def keys(self) -> tuple[str, ...]:
        """Return every name that it had."""
        return (self.key, *self.other_names)


@dataclass(frozen=True, kw_only=True)
class PresentKey:
    """A sysctl that this kernel has, and sockmon has no text about."""

    key: str
    scope_text: str = ""
    """What shares one value; empty if that is not known."""
    description: str = "This kernel has this sysctl; sockmon has no page about it."


__all__ = ["NETNS_AS_HOST"]
HOST, NETNS, INITIAL_NETNS = (SCOPE_TEXT[scope] for scope in ("host", "netns", "initial netns"))
NOT_NETNS = "it does not depend on the network namespace"
IPC = "each IPC namespace has its own value"
READ_ONLY_ELSEWHERE = f"{INITIAL_NETNS}; the others show it"


def others(
    prefix: str, scope_text: str, descriptions: dict[str, str | tuple[str, str]], limits: str = LIMITS_NOTHING
) -> tuple[OtherKey, ...]:
    """Return a key for each of `descriptions`, by what follows `prefix`; a pair has its own text about limits."""
    found = []
    for name, text in descriptions.items():
        description, own = (text, limits) if isinstance(text, str) else text
        found.append(OtherKey(key=prefix + name, description=description, limits=own, scope_text=scope_text))
    return tuple(found)
