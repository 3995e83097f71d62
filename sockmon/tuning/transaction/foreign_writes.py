"""What other processes have written to the settings of a pending change: a rollback leaves their values alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import suppress

from sockmon.model.plan import Plan
from sockmon.model.transaction import ForeignValue
from sockmon.tuning.transaction.plan_netns import ended_message
from sockmon.tuning.transaction.targets import Target


class ForeignWrites:
    """The settings of `plan` whose values are not those of its guard any more; `targets` by number."""

    def __init__(self, plan: Plan, targets: Mapping[int, Target]) -> None:
        self._plan = plan
        self._targets = targets
        self._found: dict[int, str | None] = {}
        """The value now, by number of the setting; None: it does not exist any more."""
        self._netns_ended = False

    @property
    def values(self) -> tuple[ForeignValue, ...]:
        """The values that another process has written."""
        return tuple(ForeignValue(self._plan.settings[n].name, now) for n, now in self._found.items())

    @property
    def all_ended(self) -> bool:
        """Whether nothing that the plan has changed exists any more."""
        return bool(self._found) and all(self._found.get(n, "") is None for n in range(len(self._plan.settings)))

    def look_for(self, readback: Mapping[int, str]) -> list[str]:
        """Compare each value with what the guard wrote, `readback` if the kernel has rounded it; return a message
        for each that has changed since the last call. A value that cannot be read is not compared."""
        messages: list[str] = []
        for n, setting in enumerate(self._plan.settings):
            with suppress(OSError):
                messages += self._compare(n, readback.get(n, setting.new))
        return messages

    def _compare(self, n: int, ours: str) -> Iterator[str]:
        found: str | None = None
        with suppress(FileNotFoundError):
            found = self._targets[n].read()
        if found is not None and self._targets[n].equal(found, ours):
            self._found.pop(n, None)
        elif n not in self._found or self._found[n] != found:
            self._found[n] = found
            yield from self._describe(n, found)

    def _describe(self, n: int, found: str | None) -> Iterator[str]:
        name = self._plan.settings[n].name
        if found is not None:
            yield f"{name}: another process changed it to {found or 'an empty value'}"
        elif self._plan.target is None:
            yield f"{name}: it does not exist any more"
        elif not self._netns_ended:
            # One sentence about the namespace takes the place of one about each of its keys.
            self._netns_ended = True
            yield ended_message(self._plan.target)
