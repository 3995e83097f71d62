"""`[levels]` of the config file → rules, and what is wrong with each entry that cannot be used."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from sockmon.ceilings.level_rules import NAMES, LevelRule, LevelRules
from sockmon.ceilings.selector import Selector, parse_selector
from sockmon.errors import NoSuchName

MAX_SECONDS = 7 * 86_400
HIT = "a limit that has been met is always a hit: this cannot be configured"


def level_rules(table: Any) -> tuple[tuple[LevelRule, ...], list[str]]:
    """Return the rules of a table of `CEILING[:SUBJECT]` and levels, and the faults of the other entries.

    Rules without a subject are first: those with one are checked against them."""
    if not isinstance(table, Mapping):
        return (), [f"levels: expected sections such as [levels.accept-queue], got {table!r}"]
    rules: list[LevelRule] = []
    faults: list[str] = []
    for name, levels in sorted(table.items(), key=lambda item: ":" in item[0]):
        try:
            selector = parse_selector(name)
        except NoSuchName as error:
            faults.append(f"levels: {error.message}; {error.hint}")
            continue
        found = list(_faults(levels)) or _contradictions(rule := _rule(selector, levels), LevelRules(rules))
        if found:
            faults += [f"levels: {selector}: {fault}" for fault in found]
        else:
            rules.append(rule)
    return tuple(rules), faults


def _rule(selector: Selector, levels: Mapping[str, float]) -> LevelRule:
    shares = {name: value / 100 for name, value in levels.items() if name in NAMES[:2]}
    return LevelRule(selector, **shares, **{name: levels[name] for name in NAMES[2:] if name in levels})


def _faults(levels: Any) -> Iterator[str]:
    """Yield what is wrong with each of the levels by itself."""
    if not isinstance(levels, Mapping):
        yield f"expected a section with {', '.join(NAMES)}, got {levels!r}"
        return
    if not levels:
        yield f"sets no level; known: {', '.join(NAMES)}"
    for name, value in levels.items():
        if name not in NAMES:
            near = get_close_matches(name.lower().replace("-", "_"), NAMES, 1)
            known = f"unknown level {name}; {'nearest' if near else 'known'}: {', '.join(near or NAMES)}"
            yield HIT if name == "hit" else known
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or math.isnan(value):
            yield f"{name}: expected a number, got {value!r}"
        elif name in NAMES[:2] and not 0 < value <= 100:
            yield f"{name}: expected per cent of the limit, above 0 and up to 100, got {value}"
        elif name in NAMES[2:] and not 0 < value <= MAX_SECONDS:
            yield f"{name}: expected seconds, above 0 and up to {MAX_SECONDS:,}, got {value}"


def _contradictions(rule: LevelRule, others: LevelRules) -> list[str]:
    """Return where a warning would begin after the critical alarm."""
    levels = rule.apply(others.general(rule.selector.ceiling))
    found = []
    if levels.warning > levels.critical:
        found.append(
            f"warning {_per_cent(levels.warning)} is above critical {_per_cent(levels.critical)}"
            f"{_unset(rule.critical, 'critical') or _unset(rule.warning, 'warning')}"
        )
    if levels.warning_left < levels.critical_left:
        found.append(
            f"warning_left {levels.warning_left:g} is less than critical_left {levels.critical_left:g}"
            f"{_unset(rule.critical_left, 'critical_left') or _unset(rule.warning_left, 'warning_left')}"
        )
    return found


def _unset(value: float | None, name: str) -> str:
    return f", which applies unless you set {name} too" if value is None else ""


def _per_cent(share: float) -> str:
    return f"{share * 100:g}"
