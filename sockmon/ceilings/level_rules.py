"""Levels that the user has set: for a ceiling, or for some of its subjects. Every front end judges by them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import msgspec

from sockmon.ceilings import BY_ID
from sockmon.ceilings.ceiling import Ceiling, Levels, Measure
from sockmon.ceilings.selector import Selector

NAMES = ("warning", "critical", "warning_left", "critical_left")
"""What can be set: shares of the limit, and seconds left."""


@dataclass(frozen=True)
class LevelRule:
    """Levels for what a Selector names; None keeps the level that would apply without the rule."""

    selector: Selector
    warning: float | None = None
    critical: float | None = None
    warning_left: float | None = None
    critical_left: float | None = None

    def apply(self, levels: Levels) -> Levels:
        """Return `levels` with those of the rule."""
        chosen = {name: value for name in NAMES if (value := getattr(self, name)) is not None}
        if levels.critical > 1:
            # An estimate that is never critical stays so.
            chosen.pop("critical", None)
        return replace(levels, **chosen)


class LevelRules:
    """All rules. A rule without a subject comes first, then the first one whose subject matches."""

    def __init__(self, rules: Iterable[LevelRule] = ()) -> None:
        self._general: dict[str, LevelRule] = {}
        self._special: dict[str, list[LevelRule]] = {}
        for rule in rules:
            if rule.selector.subject:
                self._special.setdefault(rule.selector.ceiling, []).append(rule)
            else:
                self._general[rule.selector.ceiling] = rule

    def has(self, ceiling: str) -> bool:
        """Return whether a rule is about this ceiling."""
        return ceiling in self._general or ceiling in self._special

    def general(self, ceiling: str) -> Levels:
        """Return the levels of a ceiling, for subjects without a rule of their own."""
        levels = BY_ID[ceiling].levels
        return self._general[ceiling].apply(levels) if ceiling in self._general else levels

    def applied(self, ceiling: Ceiling, measure: Measure) -> Measure:
        """Return `measure` with the levels of the rules that are about it."""
        rules = self._rules(ceiling.id, measure.subject)
        if not rules:
            return measure
        levels = measure.levels or ceiling.levels
        for rule in rules:
            levels = rule.apply(levels)
        # The levels of a host may be higher than those that the rule was checked against.
        levels = replace(levels, warning=min(levels.warning, levels.critical))
        return msgspec.structs.replace(measure, levels=levels)

    def _rules(self, ceiling: str, subject: str) -> list[LevelRule]:
        general = [self._general[ceiling]] if ceiling in self._general else []
        special = (rule for rule in self._special.get(ceiling, ()) if rule.selector.matches(ceiling, subject))
        return general + [rule for rule in [next(special, None)] if rule]
