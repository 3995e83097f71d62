"""From wishes to a Plan: known keys, values in bounds, what fits together, in the order of writing.

Pure: what is asked for and what is there go in, a Proposal or the reason against it comes out.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches

from sockmon.errors import Refused
from sockmon.model.change import Plan, Preview, Proposal, Setting
from sockmon.model.clean import clean
from sockmon.tunables import BY_KEY, TUNABLES, Tunable, process_of, row_of
from sockmon.tunables.tunable import REACH
from sockmon.tunables.value import parse, same, with_hard
from sockmon.tuning.cautions import cautions
from sockmon.tuning.change import Change, ordered
from sockmon.tuning.effects import cost, effect, keeps
from sockmon.tuning.here import Here
from sockmon.tuning.objections import objection
from sockmon.tuning.restart import restart

_KEY = re.compile(r"[a-z0-9_]+([./][A-Za-z0-9_:@-]+)+")
_LIMIT = re.compile(r"([a-z]+)(?:@([1-9][0-9]{0,9}))?")
_LONGEST_COMMAND = 4000
"""Bytes of a value that sysctl(8) still writes whole; of a longer list it writes the head and reports success."""
REVERT = (
    "the old values come back by themselves unless the change is kept in time; with `sockmon tune revert` at once"
)


def plan(wanted: Mapping[str, str], here: Here) -> Proposal:
    """What has to be written so that the keys of `wanted` have its values, and what that does.

    Raises BadValue for a value, Refused for a key or a change that cannot be made or would do harm."""
    if here.fixed:
        raise Refused(f"nothing can be changed here: {here.fixed}")
    if not wanted:
        raise Refused("nothing is asked for", "name what to change: KEY=VALUE")
    changes, already = [], []
    for key, (row, new) in _chosen(wanted).items():
        old = _current(key, row, here)
        new = with_hard(new, old) if row.kind == "limit" else new
        if same(row, old, new):
            already.append(key)
        else:
            changes.append(Change(key, row, old, new))
    changes = list(ordered(changes))
    after = {**here.values, **{change.key: change.new for change in changes}}
    against = objection(changes, after, here)
    if against is not None:
        raise against
    settings = tuple(_setting(change, here) for change in changes)
    return Proposal(
        plan=Plan(settings, here.netns, here.boot_id),
        previews=tuple(_previews(changes, after, here)),
        already=tuple(already),
        revert=REVERT if changes else "",
        commands=tuple(command(change.key, change.new, here.door) for change in changes),
        back=tuple(command(change.key, change.old, here.door) for change in reversed(changes)),
    )


def find(key: str) -> tuple[str, Tunable]:
    """The row of `key`, a sysctl or `nofile@1044`, and the key that it is called by first; Refused with the
    nearest names where none is."""
    dotted = key.removeprefix("/proc/sys/")
    if (limit := _LIMIT.fullmatch(dotted)) and limit[1] in BY_KEY:
        return dotted, BY_KEY[limit[1]]
    if _KEY.fullmatch(dotted) and dotted.replace("/", ".") in BY_KEY:
        dotted = dotted.replace("/", ".")
        row = BY_KEY[dotted]
        return (row.key if dotted in row.aliases else dotted), row
    raise Refused(f"`{clean(key, 80)}` is not among what can be changed here", _nearest(dotted))


def names() -> list[str]:
    """Every sysctl that can be set, an alias not twice."""
    rows = (row for row in TUNABLES if row.settable and row.kind != "limit")
    return [key for row in rows for key in row.keys if key not in row.aliases]


def needed(keys: Iterable[str]) -> list[str]:
    """`keys`, and those that have to be looked at together with them."""
    wanted = [_whole(*find(key)) for key in keys]
    return list(dict.fromkeys([*wanted, *(other for key in wanted for other in row_of(key).couplings)]))


def command(key: str, value: str, door: str = "") -> str:
    """What sets it by hand, in the namespace `door`."""
    if pid := process_of(key):
        return f"prlimit --pid {pid} --{key.partition('@')[0]}={value}"
    if len(value) > _LONGEST_COMMAND:
        return (
            f"# {key}: its {len(value):,} characters are too many for sysctl(8), which would write a part of them"
        )
    prefix = _prefix(door) if door and key.startswith("net.") else ""
    if not value:
        # An empty write changes nothing: the kernel wants its line feed.
        empty = f"echo > /proc/sys/{key.replace('.', '/')}"
        return f"{prefix}sh -c {shlex.quote(empty)}" if prefix else empty
    return f"{prefix}sysctl -w {key}={shlex.quote(value)}"


def _prefix(door: str) -> str:
    if "/" in door:
        return f"nsenter --net={shlex.quote(clean(door))} "
    if door.isascii() and door.isdigit():
        return f"nsenter -t {door} -n "
    return f"ip netns exec {shlex.quote(clean(door))} "


def _chosen(wanted: Mapping[str, str]) -> dict[str, tuple[Tunable, str]]:
    """Rows and canonical values by key; two names of one number are one wish."""
    chosen: dict[str, tuple[Tunable, str]] = {}
    for name, text in wanted.items():
        key, row = find(name)
        _whole(key, row)
        if not row.settable:
            why = row.until or "the kernel only shows it"
            raise Refused(f"{key} cannot be set: {why}", next(iter(row.myths), ""))
        new = parse(row, text, key)
        if key in chosen and chosen[key][1] != new:
            raise Refused(f"{key} is asked for twice, under two names, with different values")
        chosen[key] = (row, new)
    return chosen


def _whole(key: str, row: Tunable) -> str:
    """`key`; Refused where it is a limit and nobody said of which process."""
    if row.kind == "limit" and not process_of(key):
        raise Refused(f"{key} is a limit of each process", f"name the process: {key}@PID")
    return key


def _current(key: str, row: Tunable, here: Here) -> str:
    if key in here.refused:
        hint = ""
        if row.scope == "initial netns":
            hint = "it is one number for the host: change it there, in the initial network namespace"
        raise Refused(f"{key} cannot be changed here: {here.refused[key]}", hint)
    if key not in here.values:
        raise Refused(f"{key} cannot be changed here: its value now is not known")
    return here.values[key]


def _previews(changes: Iterable[Change], after: Mapping[str, str], here: Here) -> Iterator[Preview]:
    said: set[str] = set()
    for change in changes:
        preview = _preview(change, after, here, said)
        said.update(preview.warnings)
        yield preview


def _preview(change: Change, after: Mapping[str, str], here: Here, said: Collection[str]) -> Preview:
    """`said`: what the lines before have to think of already; two keys of one pair say the same."""
    return Preview(
        setting=_setting(change, here),
        unit=change.row.unit,
        effect=effect(change, after, here),
        when=change.row.effect,
        keeps=keeps(change, after, here),
        scope=REACH[change.row.scope],
        risk=change.row.risk,
        cost=cost(change, here),
        warnings=tuple(each for each in cautions(change, after, here) if each not in said),
        boot=restart(change, here),
    )


def _setting(change: Change, here: Here) -> Setting:
    name = change.key.partition("@")[0]
    return Setting(name, change.old, change.new, process_of(change.key), here.starts.get(change.key, 0))


def _nearest(key: str) -> str:
    known = names()
    ends = {name.rpartition(".")[2]: name for name in known}
    last = re.split(r"[./]", key)[-1]
    near: Sequence[str] = [
        *get_close_matches(key, known, 3, 0.7),
        *(ends[e] for e in get_close_matches(last, ends, 3)),
    ]
    alone = "`sockmon tune list` has them all"
    return f"the nearest: {', '.join(dict.fromkeys(near))}; {alone}" if near else alone
