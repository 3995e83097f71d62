"""What a lab is, and what sockmon must report in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sockmon.model.report import RemedyKind
from sockmon.model.severity import Severity

if TYPE_CHECKING:
    from sockmon.sandbox.builder import LabBuilder


@dataclass(frozen=True)
class Expect:
    """A Reading that the report must have; ranges include both ends and are in the unit of the ceiling."""

    ceiling: str
    subject: str
    """A regular expression that matches somewhere in the Reading's subject."""
    used: tuple[int, int] | None
    """None: any."""
    limit: tuple[int, int] | None
    severity: tuple[Severity, ...]
    remedy: RemedyKind | None = None
    """The kind of the first remedy; None: any."""
    key: str | None = None
    """What the first remedy sets; None: any."""
    netns: str = ""
    """A regular expression that matches somewhere in the name of the Reading's network namespace; empty: any."""


def hit(
    ceiling: str, subject: str, limit: int, remedy: RemedyKind | None = None, key: str | None = None
) -> Expect:
    """Return the expectation that `subject` is exactly at `limit`."""
    return Expect(ceiling, subject, (limit, limit), (limit, limit), ("hit",), remedy, key)


@dataclass(frozen=True)
class Lab:
    """A host that reaches one ceiling, or a healthy host that reaches none."""

    name: str
    ceiling: str | None
    """The id of the ceiling that is reached; None: a healthy host."""
    title: str
    scenario: str
    """What happens, in one sentence of at most 108 characters."""
    what_to_see: str
    """What to look for on the screen, at most 76 characters: it has one line of 80 columns."""
    claim: str
    """What the lab shows about sockmon."""
    build: Callable[[LabBuilder], None] | None
    """Builds it inside its namespaces: a top-level function or a `partial` of one. None: it is a recording."""
    expect_first: Expect | None
    """What must come first; None: there must be no alarm."""
    expect_also: tuple[Expect, ...] = ()
    expect_no_alarm: tuple[str, ...] = ()
    """Ceilings that must raise no alarm."""
    expect_unjudged: str = ""
    """What the report must say it did not judge, such as `1 other network namespace`, or a part of it; empty:
    anything."""
    needs: tuple[str, ...] = ()
    """`root`, `nft` or another program, `Linux 6.14`, `cgroup:pids`."""
    check_seconds: float = 2.0
    """How long a check must observe it."""
    recording: str | None = None
    """A file in `labs/recordings/`: a host-wide setting, or for users who lack what `build` needs."""
    size: int = 0
    """How many namespaces it has, for a lab that can be larger or smaller (`replace(lab, size=…)`); else 0."""
    deadline: float = 3600.0
    """Seconds after which the lab is killed in any case."""

    @property
    def recorded(self) -> bool:
        """True if it can only be replayed."""
        return self.build is None

    @property
    def summary(self) -> str:
        """Two lines: what happens, and what to look for."""
        return f"{self.scenario}\n{self.what_to_see}"
