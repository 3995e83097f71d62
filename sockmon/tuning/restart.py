"""What a restart makes of a change: which file wins, whether `keep --persist` would last, who else writes it."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.ceilings.sections import sentence
from sockmon.model.change import Outlook, Rival
from sockmon.tunables import process_of, row_of
from sockmon.tuning.change import Change
from sockmon.tuning.here import Here
from sockmon.tuning.unit import lasting

_NOT_REACHED = "No file of sysctl.d reaches this network namespace: whoever makes it has to set the value."


def restart(change: Change, here: Here) -> tuple[str, ...]:
    """A line each; nothing where no file was looked at."""
    outlook = here.outlooks.get(change.key)
    if change.row.kind == "limit":
        return lasting(change.key.partition("@")[0], change.new, outlook.unit if outlook else "")
    if here.door and change.row.scope == "netns":
        return (_NOT_REACHED,)
    return tuple(map(sentence, _sysctl(change, outlook))) if outlook else ()


def shown(key: str, value: str, here: Here) -> tuple[str, ...]:
    """What a restart makes of `key` as things are now; how a limit would last as `value`."""
    outlook, limit = here.outlooks.get(key), process_of(key)
    if here.door and row_of(key).scope == "netns":
        return (_NOT_REACHED,)
    if limit and outlook:
        return lasting(key.partition("@")[0], value, outlook.unit)
    return tuple(map(sentence, (*outlook.boot, *outlook.managers))) if outlook else ()


def _sysctl(change: Change, outlook: Outlook) -> Iterator[str]:
    yield from outlook.boot
    unread = [f"{file}: it may hold a line that wins" for file in outlook.unread]
    against = [*_against(change, outlook.rivals), *unread]
    if against:
        yield f"`keep --persist` keeps it until a restart only: {'; '.join(against)}"
    else:
        yield (
            "`keep --persist` writes it to /etc/sysctl.d/90-sockmon.conf, which wins; `keep` alone lasts until a"
            " restart"
        )
    if not against and change.key.startswith("net.netfilter.nf_conntrack"):
        yield (
            "it exists once nf_conntrack is loaded, perhaps after the files were read: then it takes the udev rule"
            " that `keep --persist` shows, too"
        )
    yield from outlook.managers


def _against(change: Change, rivals: tuple[Rival, ...]) -> Iterator[str]:
    by_line: dict[tuple[str, str | None], list[str]] = {}
    for rival in rivals:
        if rival.value is None or rival.value.split() != change.new.split():
            by_line.setdefault((rival.at, rival.value), []).append(rival.program)
    for (at, value), programs in by_line.items():
        does = "keeps it from being set" if value is None else f"sets {value or '(empty)'} later"
        yield f"{at} {does} under {' and '.join(programs)}"
