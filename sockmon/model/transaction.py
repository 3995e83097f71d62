"""A change that a guard carries out, and the states that it goes through.

    applying ─┬─> holding ─┬─> kept       the user kept it in time
              │            ├─> reverted   hold expired or rollback requested: every old value is back
              │            ├─> conflict   the same, but another process had changed a value: that one was left
              │            └─> stuck      the same, but a value could not be written back
              ├─> reverted | conflict | stuck   a write failed, so the settings already written were rolled back
              └─> refused    a check before the first write failed: nothing was changed

If the guard is killed, the watchdog or the next start of sockmon reads the journal: with the commit point (KEEP)
in it the change ends as `kept`, without it as `reverted`, `conflict` or `stuck`; after a reboot, which restores
the values, as `rebooted`. An action (model/acting.py) is in the history too: it is `done`, or `applying` if it was
interrupted. STATE_LABELS has the words for users. The states, and the names
that fields have in JSON, are in histories and journals on disk: they stay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal

import msgspec

from sockmon.model.acting import ActionRecord
from sockmon.model.outcome import Outcome
from sockmon.model.plan import Plan, Setting

State = Literal["applying", "holding", "kept", "reverted", "conflict", "stuck", "refused", "rebooted", "done"]
STATE_LABELS: dict[State, str] = {
    "applying": "interrupted",
    "holding": "pending",
    "kept": "kept",
    "reverted": "rolled back",
    "conflict": "conflict",
    "stuck": "stuck",
    "refused": "refused",
    "rebooted": "rebooted",
    "done": "done",
}
"""What a user calls each state."""


class Actor(msgspec.Struct, frozen=True):
    """The user who requests a change."""

    uid: int
    user: str
    login: str
    """The person behind root, by loginuid or SUDO_USER; empty if unknown."""
    terminal: str


class SysctlFileEdit(msgspec.Struct, frozen=True):
    """Our lines for a key in our file in /etc/sysctl.d before and after a change, as Latin-1; empty if it had
    none."""

    key: str
    before: str
    after: str


class ForeignValue(msgspec.Struct, frozen=True):
    """A setting that did not have its new value any more when its change was kept."""

    name: str
    """`net.core.somaxconn`, `nofile@1044`."""
    now: str | None
    """The value that another process has written; None if the setting does not exist any more."""


class Transaction(msgspec.Struct, frozen=True):
    """A plan that a guard has carried out or is carrying out."""

    id: str
    plan: Plan
    actor: Actor = msgspec.field(name="who")
    begun: float
    """Wall clock, seconds since the epoch."""
    hold: float
    """Seconds after which the change is rolled back unless it is kept."""
    deadline: float
    """CLOCK_BOOTTIME, seconds."""
    state: State
    persisted: bool = False
    messages: tuple[str, ...] = msgspec.field(default=(), name="words")
    """What went wrong or differs from the plan, a sentence each."""
    entries: tuple[SysctlFileEdit, ...] = ()
    """What the change wrote to /etc/sysctl.d; undoing the change reverses it."""
    outcomes: tuple[Outcome, ...] = ()
    """What has become of the reasons of the plan, as it was observed last; empty if it was not observed."""
    not_kept: tuple[ForeignValue, ...] = ()
    """The settings of a kept change that were not in effect any more when it was kept."""
    set_by_files: tuple[str, ...] = ()
    """Names of kept settings that a file of sysctl.d sets to another value: they last until it is applied."""
    netns_ended: bool = False
    """Whether the network namespace of the plan ended before it was rolled back, and its values with it."""
    action: ActionRecord | None = None
    """What was done to sockets, flows or a process, which has no way back; the plan is then empty."""

    @property
    def kept_settings(self) -> tuple[Setting, ...]:
        """The settings that were in effect when the change was kept; all of them if it was not kept."""
        lost = {each.name for each in self.not_kept}
        return tuple(setting for setting in self.plan.settings if setting.name not in lost)

    @property
    def forgotten(self) -> tuple[str, ...]:
        """The keys whose lines it has removed from our file in /etc/sysctl.d, if that is what it was for."""
        removed = {entry.key for entry in self.entries}
        return tuple(key for key in self.plan.forgets if key in removed)


def inverse_plan(kept: Transaction, netns: int, boot_id: str) -> Plan:
    """Return the plan that undoes a kept change, last setting first, and its edits in /etc/sysctl.d with it.

    A guard refuses it in another network namespace, and if the values have changed since."""
    settings = reversed(kept.plan.settings)
    back = tuple(msgspec.structs.replace(each, old=each.new, new=each.old) for each in settings)
    # The number of a namespace means nothing in another boot.
    same_boot = kept.plan.boot_id == boot_id
    inode, target = (kept.plan.netns, kept.plan.target) if same_boot else (netns, None)
    return Plan(back, inode, boot_id, kept.id, target=target)


def kept_not_undone(newest_first: Iterable[Transaction]) -> Iterator[Transaction]:
    """Yield the changes of a history that were kept and not undone since, newest first."""
    past = list(newest_first)
    undone = undone_ids(past)
    kept = (one for one in past if one.state == "kept" and not (one.plan.undoes or one.plan.forgets))
    yield from (one for one in kept if one.id not in undone)


def undone_ids(newest_first: Iterable[Transaction]) -> set[str]:
    """Return the ids of the changes that were undone; an undo that was undone itself does not count."""
    found: set[str] = set()
    for one in newest_first:
        if one.state == "kept" and one.plan.undoes and one.id not in found:
            found.add(one.plan.undoes)
    return found
