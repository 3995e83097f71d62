"""The text of the hold bar: what is pending, for how long, which keys decide, and the outcome."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from rich.cells import cell_len
from rich.text import Text

from sockmon import format, own_command
from sockmon.ceilings import TITLES
from sockmon.model.boot import Drift
from sockmon.model.outcome import OutcomeKind
from sockmon.model.plan import Plan, Setting
from sockmon.model.transaction import ForeignValue, Transaction
from sockmon.text import sanitize
from sockmon.tunables.lasting_in_netns import not_persisted_message
from sockmon.tuning.planning.outcome_text import outcome_text, reason_text, subject_text
from sockmon.ui.keys import show_keys
from sockmon.ui.tuning.held_change import CONFIRM_SECONDS, HeldChange, HoldAction
from sockmon.ui.widgets.bar import plain_bar
from sockmon.ui.widgets.text_line import justify

WIDE_COLUMNS = 110
"""Columns from which on the long texts fit."""
MAX_CHARACTERS = 2000
IN_PROGRESS: dict[HoldAction, str] = {
    "keep": "keeping…",
    "persist": "keeping and writing to disk…",
    "revert": "rolling back…",
}
DECISIONS = (
    ("keep", "keep until reboot", "keep"),
    ("keep.persist", "persist to disk", "persist"),
    ("revert", "roll back now", "roll back"),
)
"""Action, and its long and short label."""
DROPIN = "/etc/sysctl.d/90-sockmon.conf"
MIN_SETTINGS_CELLS = 40
"""Cells for the settings below which the command to keep them is left out."""
MAX_NAMED = 3
"""Settings that are named before the second press."""


OUTCOME_ORDER: tuple[OutcomeKind, ...] = ("worse", "unchanged", "unknown", "waiting", "eased", "left")
OUTCOME_STYLES: dict[OutcomeKind, tuple[str, str]] = {
    "worse": ("✖", "sev-hit"),
    "unchanged": ("✖", "sev-hit"),
    "unknown": ("?", "sev-unknown"),
    "waiting": ("◷", "muted"),
    "eased": ("▲", "sev-warning"),
    "left": ("✔", "sev-ok"),
}
"""Glyph and style; never colour alone."""


def pending_line(hold: HeldChange, keys: Mapping[str, str], width: int, typing: bool = False) -> Text:
    """Return `PENDING 2 changes · read back and verified` and the keys that decide; `typing`: into an input."""
    held = hold.pending
    assert held is not None
    left = Text.assemble((" PENDING ", "bold reverse"), " ", change_count(held.plan))
    if width >= WIDE_COLUMNS:
        left.append(" · ").append(_verified(held))
    if held.id not in hold.own_ids:
        left.append(f" · by {actor_label(held)}")
    return justify(left, _decision_keys(hold, keys, width, typing), width)


def short_name(name: str) -> str:
    """Return the end of a key, which is enough to recognize it: `somaxconn`, `pids.max@…/nginx.service`."""
    key, _, owner = name.partition("@")
    if not owner.startswith("/"):
        return name.rpartition(".")[2]
    above, _, last = owner.rpartition("/")
    return f"{key}@{'…' if above else ''}/{last}"


def _verified(held: Transaction) -> str:
    return "read-back differs" if held.messages else "read back and verified"


def _decision_keys(hold: HeldChange, keys: Mapping[str, str], width: int, typing: bool) -> Text:
    if hold.disconnected:
        return Text("decide in a shell ")
    if hold.requested:
        return Text(f"{IN_PROGRESS[hold.requested]} ")
    lead = "Esc, then " if typing else ""
    # The limit of a process or cgroup may end before the next reboot.
    wide = width >= WIDE_COLUMNS and bool(hold.persistable)
    offers = [_keys(keys, lead, column) for column in ((1, 2) if wide else (2,))]
    # Keys that the user chose have longer names: labels are left out before a key is cut.
    short = {id: keys[id].split(",")[0] for id, *_ in DECISIONS}
    offers += [_keys(short, lead, 2), _keys(short, "", 2), _keys(short, "", None)]
    return next((each for each in offers if each.cell_len < width - len(" PENDING ")), offers[-1])


def _keys(keys: Mapping[str, str], lead: str, column: int | None) -> Text:
    """Return `[K] keep  [P] persist  [U] roll back`; `column` of DECISIONS, None for the keys alone."""
    parts = [
        Text.assemble((f"[{show_keys(keys[row[0]])}]", "bold reverse"), f" {row[column]}" if column else "")
        for row in DECISIONS
    ]
    return Text.assemble(lead, Text("  ").join(parts), " ")


def countdown_line(hold: HeldChange, width: int) -> Text:
    """Return a bar that shrinks, the seconds that are left, and the settings."""
    held = hold.pending
    assert held is not None
    room = 40 if width >= WIDE_COLUMNS else 20
    left = f" {hold.seconds_left} s left " if hold.seconds_left else " rolling back… "
    also = ""
    if width >= WIDE_COLUMNS:
        also = f"or: {own_command.with_sudo()} tune keep "
    line = Text.assemble(" ", plain_bar(hold.share_left, room), (left, "bold"), " ")
    if width - line.cell_len - len(also) < MIN_SETTINGS_CELLS:
        also = ""
    room = width - line.cell_len - len(also) - 3
    steps = [(each.name, f" {each.old or 'empty'} → {each.new or 'empty'}") for each in held.plan.settings]
    what = [name + step for name, step in steps]
    if sum(map(cell_len, what)) > room:
        # The last part of a key is enough to recognise it.
        what = [short_name(name) + step for name, step in steps]
    line.append(_list_fitting(what, room))
    return justify(line, Text(also), width)


def _list_fitting(what: Sequence[str], room: int) -> str:
    """Return as many items as fit into `room` cells, and the number of the rest: `a 1 → 2, b 3 → 4 and 5 more`."""
    for shown in range(len(what), 0, -1):
        more = f" and {len(what) - shown} more" if shown < len(what) else ""
        text = sanitize(", ".join(what[:shown]), MAX_CHARACTERS) + more
        if cell_len(text) <= room:
            return text
    more = f" and {len(what) - 1} more" if len(what) > 1 else ""
    first = Text(sanitize(what[0], MAX_CHARACTERS)) if what else Text()
    first.truncate(max(room - len(more), 8), overflow="ellipsis")
    return first.plain + more


def outcome_now(hold: HeldChange, width: int) -> Text:
    """Return what has become of the alarm that is the reason for the pending change, as long as it fits; of
    several the one that is worst. Empty if there is no reason."""
    if hold.pending is None or not hold.pending.plan.reasons:
        return Text()
    if not hold.outcomes:
        reason = sanitize(reason_text(hold.pending.plan.reasons[0]), MAX_CHARACTERS)
        return Text.assemble((f" ◷ {reason}", "muted"))
    found = min(hold.outcomes, key=lambda each: OUTCOME_ORDER.index(each.kind))
    glyph, style = OUTCOME_STYLES[found.kind]
    more = f" · and {len(hold.outcomes) - 1} more" if len(hold.outcomes) > 1 else ""
    plan, title = hold.pending.plan, TITLES.get(found.ceiling, found.ceiling)
    offers = [
        f"{subject_text(found)}: {outcome_text(found, plan)}{more}",
        f"{title}: {outcome_text(found, plan)}{more}",
        f"{title}: {outcome_text(found, plan, short=True)}{more}",
    ]
    lines = [Text.assemble((f" {glyph} {sanitize(each, MAX_CHARACTERS)}", style)) for each in offers]
    return next((line for line in lines if line.cell_len < width), lines[-1])


def outcome_messages(ended: Transaction) -> list[str]:
    """Return what was noted of the reasons of a change that has ended: a line each."""
    return [
        sanitize(f"{subject_text(each)}: {outcome_text(each, ended.plan)}", MAX_CHARACTERS)
        for each in ended.outcomes
    ]


def persist_question(hold: HeldChange, keys: Mapping[str, str]) -> Iterator[Text]:
    """Yield what a second press of the key that persists will write, while it is awaited."""
    if hold.confirming:
        key = show_keys(keys["keep.persist"].split(",")[0])
        slower = f"Too fast: wait a second, then press {key}" if hold.too_fast else f"Press {key} again"
        text = f"▲ {slower} to write {DROPIN}: {_named(hold.persistable)}. "
        yield Text.assemble(
            (sanitize(text, MAX_CHARACTERS), "bold"),
            f"Any other key cancels, and so do {CONFIRM_SECONDS:.0f} s without a key.",
        )


def not_persistable(hold: HeldChange, keys: Mapping[str, str]) -> str:
    """Return why a change of limits of processes or cgroups alone cannot be persisted."""
    if hold.pending and hold.pending.plan.target:
        return not_persisted_message(hold.pending.plan)
    names = _list_fitting([each.name for each in hold.pending.plan.settings] if hold.pending else [], 60)
    key = show_keys(keys["keep"].split(",")[0])
    what = "the limit of a cgroup" if _is_of_cgroup(hold) else "a process limit"
    owner = "cgroup" if _is_of_cgroup(hold) else "process"
    return f"/etc/sysctl.d holds sysctls only; {names} is {what}: {key} keeps it until the {owner} ends"


def _is_of_cgroup(hold: HeldChange) -> bool:
    return hold.pending is not None and any(each.cgroup for each in hold.pending.plan.settings)


def _named(settings: Iterable[Setting]) -> str:
    named = [f"{each.key} = {each.new or '(empty)'}" for each in settings]
    more = f" and {len(named) - MAX_NAMED} more" if len(named) > MAX_NAMED else ""
    return ", ".join(named[:MAX_NAMED]) + more


def remarks(hold: HeldChange) -> list[str]:
    """Return what did not go as planned while it is pending, a sentence each."""
    held = hold.pending
    assert held is not None
    lines = [sanitize(text, MAX_CHARACTERS) for text in held.messages]
    if hold.failure:
        failure = sanitize(hold.failure, MAX_CHARACTERS)
        lines.append(f"Not done: {failure}. It is still rolled back unless you keep it.")
    if hold.disconnected:
        sudo = own_command.with_sudo()
        lines.append(
            "The privileged helper has exited. The guard still rolls the change back in time, unless it and the"
            f" watchdog were killed too. In a shell: `{sudo} tune keep` or `{sudo} tune revert`."
        )
    return lines


def outcome_line(hold: HeldChange, width: int) -> tuple[Text, list[str]]:
    """Return the outcome in one line, and further messages."""
    ended = hold.ended
    badge, text = "? ENDED", f"{hold.lost_id}: outcome not known yet; see sockmon tune history"
    if ended is not None:
        badge, text = _outcome(hold, ended)
    line = Text.assemble((f" {badge} ", "bold reverse"), f" {text}")
    hides = "Esc hides " if hold.failed_end else "any key hides "
    messages = ended.messages if ended else ()
    said = outcome_messages(ended) if ended else []
    return justify(line, Text(hides), width), [*said, *(sanitize(each, MAX_CHARACTERS) for each in messages)]


def _outcome(hold: HeldChange, ended: Transaction) -> tuple[str, str]:
    many = change_count(ended.plan)
    if ended.state == "kept":
        return _kept(hold, ended, many)
    if ended.state == "conflict":
        return "▲ CONFLICT", "another process changed a value meanwhile; that value was not overwritten"
    if ended.state == "stuck":
        return "✖ STUCK", "an old value could not be restored; restore it as root:"
    if ended.state == "refused":
        return "▲ REFUSED", "nothing was changed"
    if ended.state == "rebooted":
        return "◀ ROLLED BACK", "by a reboot"
    if ended.netns_ended and ended.plan.target:
        return "◀ ENDED", f"{sanitize(ended.plan.target.name, 60)} has ended, and {many} with it"
    return "◀ ROLLED BACK", f"{many}: all old values are restored"


def _kept(hold: HeldChange, ended: Transaction, many: str) -> tuple[str, str]:
    """Return the outcome of a kept change: what is gone, else how long it lasts."""
    if ended.not_kept:
        badge = "▲ KEPT IN PART" if ended.kept_settings else "▲ NOT KEPT"
        return badge, sanitize("; ".join(map(_lost, ended.not_kept)), MAX_CHARACTERS)
    if ended.persisted:
        return "✔ PERSISTED", f"{many}, written to {DROPIN}"
    return "▲ KEPT, NOT PERSISTED" if hold.persisting else "✔ KEPT", f"{many} until {_ends_with(ended)}"


def _ends_with(kept: Transaction) -> str:
    """Return what ends a kept change: the first of what ends its settings."""
    if kept.set_by_files:
        return "sysctl.d is applied again"
    if kept.plan.target:
        return f"{sanitize(kept.plan.target.name, 60)} ends"
    owners = ["process" if each.pid else "cgroup" for each in kept.plan.settings if not each.is_sysctl]
    return f"the {owners[0]} ends" if owners else "reboot"


def _lost(lost: ForeignValue) -> str:
    now = "does not exist any more" if lost.now is None else f"is {lost.now or 'empty'} now"
    return f"{lost.name} {now}"


def note_lines(hold: HeldChange) -> list[str]:
    """Return the interrupted changes and the drift, a sentence each."""
    lines = []
    for each in hold.unrecovered:
        why = f": {each.messages[-1]}" if each.messages else ""
        text = f"Interrupted: {change_count(each.plan)} of {each.id}, not rolled back yet{why}"
        lines.append(sanitize(text, MAX_CHARACTERS))
    return lines + [f"Drift: {drift_text(each)}" for each in hold.drift]


def drift_text(drift: Drift) -> str:
    """Return a kept setting that has another value now, as a sentence without its full stop."""
    owner = drift.cgroup or drift.pid
    where = f"{drift.key}@{owner}" if owner else drift.key
    now = "cannot be read now" if drift.now is None else f"is {drift.now or 'empty'} now"
    return sanitize(drift.message or f"{where} was kept at {drift.kept or 'empty'} and {now}", MAX_CHARACTERS)


def change_count(plan: Plan) -> str:
    """Return `1 change` or `2 changes`."""
    return format.plural(len(plan.settings), "change")


def actor_label(transaction: Transaction) -> str:
    """Return who requested it, and on which terminal: `alice on pts/3`."""
    who = transaction.actor
    where = f" on {who.terminal}" if who.terminal else ""
    return sanitize(f"{who.login or who.user}{where}", 100)
