"""The words of the hold bar: what is held, for how long, which keys decide, and what became of it."""

from __future__ import annotations

from collections.abc import Mapping

from rich.text import Text

from sockmon.model.change import Drift, Plan, Transaction
from sockmon.model.clean import clean
from sockmon.ui.hold import Hold, Wish
from sockmon.ui.keys import show_keys
from sockmon.ui.widgets.bar import EIGHTHS, FULL, TRACK
from sockmon.ui.widgets.words import spread

WIDE = 110
"""Columns from which on there is room for whole sentences."""
LONGEST = 2000
ASKING: dict[Wish, str] = {"keep": "keeping…", "persist": "keeping and persisting…", "revert": "putting it back…"}
DECIDE = (
    ("keep", "keep", "keep"),
    ("keep.persist", "keep and persist", "persist"),
    ("revert", "revert now", "revert"),
)
"""Action, and what it is called where there is room and where there is not."""
FILE = "/etc/sysctl.d/90-sockmon.conf"


def holding(hold: Hold, keys: Mapping[str, str], width: int, typing: bool = False) -> Text:
    """`HOLDING 2 changes · read back and verified`, and the keys that decide; `typing`: which are letters now."""
    held = hold.held
    assert held is not None
    badge = " HOLDING " if width >= WIDE else " HOLD "
    left = Text.assemble((badge, "bold reverse"), " ", count(held.plan))
    if width >= WIDE:
        left.append(" · ").append(_verified(held))
    if held.id not in hold.ours:
        left.append(f" · by {by(held)}")
    return spread(left, Text("Esc first, then decide ") if typing else _keys(hold, keys, width), width)


def _verified(held: Transaction) -> str:
    return "not as it was read back" if held.words else "read back and verified"


def _keys(hold: Hold, keys: Mapping[str, str], width: int) -> Text:
    if hold.deaf:
        return Text("decide in a shell ")
    if hold.wish:
        return Text(f"{ASKING[hold.wish]} ")
    parts = [(show_keys(keys[id]), words if width >= WIDE else short) for id, words, short in DECIDE]
    text = Text("  " if width < WIDE else "   ").join(
        Text.assemble((f" {key} ", "bold reverse"), f" {words}") for key, words in parts
    )
    return text.append(" ")


def countdown(hold: Hold, width: int) -> Text:
    """A bar that shrinks, the seconds that are left, and what it is about."""
    held = hold.held
    assert held is not None
    room = 40 if width >= WIDE else 20
    left = f" {hold.left} s left " if hold.left else " going back… "
    also = ""
    if width >= WIDE:
        also = "also: sockmon tune keep "
    line = Text.assemble(" ", _bar(hold.share, room), (left, "bold"), " ")
    what = ", ".join(f"{each.name} {each.old or 'empty'} → {each.new or 'empty'}" for each in held.plan.settings)
    line.append(clean(what, LONGEST))
    return spread(line, Text(also), width)


def _bar(share: float, width: int) -> Text:
    """In the line's own colour, which tells the urgency."""
    whole, part = divmod(round(share * width * 8), 8)
    filled = FULL * whole + (EIGHTHS[part] if part else "")
    return Text(filled + TRACK * (width - len(filled)))


def remarks(hold: Hold) -> list[str]:
    """What went otherwise while it is held, a sentence each."""
    held = hold.held
    assert held is not None
    said = [clean(word, LONGEST) for word in held.words]
    if hold.failed:
        said.append(f"Not done: {clean(hold.failed, LONGEST)}. It still goes back by itself.")
    if hold.deaf:
        said.append(
            "sockmon lost the process that asks the guard, which goes on unless it was killed too: `sockmon tune"
            " keep` or `sockmon tune revert` in a shell, as root, decides."
        )
    return said


def ending(hold: Hold, width: int) -> tuple[Text, list[str]]:
    """One line that says what became of it, and what there is to add."""
    ended = hold.ended
    badge, said = "? ENDED", f"{hold.lost}: what became of it is not known yet; see sockmon tune history"
    if ended is not None:
        badge, said = _outcome(hold, ended)
    line = Text.assemble((f" {badge} ", "bold reverse"), f" {said}")
    hides = "Esc hides " if hold.bad else "a key hides "
    return spread(line, Text(hides), width), [clean(word, LONGEST) for word in (ended.words if ended else ())]


def _outcome(hold: Hold, ended: Transaction) -> tuple[str, str]:
    many = count(ended.plan)
    if ended.state == "kept" and ended.persisted:
        return "✔ KEPT", f"{many}, written to {FILE} too"
    if ended.state == "kept" and hold.persisting:
        return "▲ KEPT, NOT PERSISTED", f"{many} until the next restart"
    if ended.state == "kept":
        return "✔ KEPT", f"{many} until the next restart"
    if ended.state == "conflict":
        return "▲ CONFLICT", "somebody else changed a value meanwhile; theirs was left as it is"
    if ended.state == "stuck":
        return "✖ STUCK", "a value could not be put back; by hand, as root:"
    if ended.state == "refused":
        return "▲ REFUSED", "nothing was changed"
    if ended.state == "rebooted":
        return "◀ WENT BACK", "the machine was restarted"
    return "◀ WENT BACK", f"{many} taken back, every value is as it was"


def notes(hold: Hold) -> list[str]:
    """What was left behind and what has drifted, a sentence each."""
    said = []
    for each in hold.pending:
        why = f": {each.words[-1]}" if each.words else ""
        said.append(clean(f"Left behind: {count(each.plan)} of {each.id}, not put right{why}", LONGEST))
    return said + [f"Drift: {drifted(each)}" for each in hold.drift]


def drifted(drift: Drift) -> str:
    """What was kept and is another now, as a sentence without its end."""
    where = f"{drift.key}@{drift.pid}" if drift.pid else drift.key
    now = "cannot be read" if drift.now is None else f"is {drift.now or 'empty'} now"
    return clean(drift.words or f"{where} was kept at {drift.kept or 'empty'} and {now}", LONGEST)


def count(plan: Plan) -> str:
    """`1 change`, `2 changes`."""
    number = len(plan.settings)
    return "1 change" if number == 1 else f"{number} changes"


def by(transaction: Transaction) -> str:
    """Who asked for it, and where: `alice on pts/3`."""
    who = transaction.who
    where = f" on {who.terminal}" if who.terminal else ""
    return clean(f"{who.login or who.user}{where}", 100)
