"""The plan that undoes a kept change: it restores the old values unless they have been changed since."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import msgspec

from sockmon.document import sentence
from sockmon.errors import PlanRejected, SockmonError
from sockmon.model.plan import Plan, Preview, Proposal, Setting
from sockmon.model.transaction import Transaction, inverse_plan
from sockmon.tunables import row_of
from sockmon.tunables.value import equal
from sockmon.tuning.planning.context import PlanContext
from sockmon.tuning.planning.plan import ROLLBACK, make_plan, shell_command

FILE = "/etc/sysctl.d/90-sockmon.conf"
OUT_OF_BOUNDS = "the old value is outside the bounds that sockmon allows for new ones"


def undo_proposal(kept: Transaction, context: PlanContext) -> Proposal:
    """Return the proposal that undoes `kept`, except for values that were changed since, which are in `left`.

    Raise PlanRejected if nothing can be undone."""
    require_values(kept)
    undo = inverse_plan(kept, context.netns_inode, context.boot_id)
    if undo.netns != context.netns_inode and any(setting.is_sysctl for setting in undo.settings):
        raise PlanRejected(
            f"the change was made in the network namespace net:[{undo.netns}], and this is another one",
            "run sockmon in that namespace to undo it",
        )
    left = {each.name: why for each in undo.settings if (why := _changed_since(each, context))}
    if len(left) == len(undo.settings):
        raise PlanRejected("; ".join(left.values()), _hint(kept, left))
    undo = msgspec.structs.replace(undo, settings=tuple(each for each in undo.settings if each.name not in left))
    try:
        made = make_plan({each.name: each.new for each in undo.settings}, replace(context, read_only_reason=""))
    except SockmonError:
        made = _proposal_without_details(undo, context)
    by_name = {each.setting.name: each for each in made.previews}
    previews = (_with_file_edit(by_name[each.name], kept) for each in undo.settings)
    stays = (f"{sentence(why)} {sentence(_hint(kept, [name]))}" for name, why in left.items())
    return msgspec.structs.replace(made, plan=undo, previews=tuple(previews), left=tuple(stays))


def require_values(kept: Transaction) -> None:
    """Raise PlanRejected if the change has set no value that an undo could restore."""
    if kept.action is not None:
        raise PlanRejected(
            f"{kept.id} cannot be undone: what was closed, deleted or signalled has no way back",
            "to see what was done: sockmon tune history",
        )
    if kept.plan.forgets:
        raise PlanRejected(
            f"change {kept.id} set no value: it removed a line from {FILE}",
            "to write it again: sockmon tune apply KEY=VALUE, then sockmon tune keep --persist",
        )


def _with_file_edit(preview: Preview, kept: Transaction) -> Preview:
    """Return the preview with what keeping the undo does to the file that made the change persist."""
    entry = next((each for each in kept.entries if each.key == preview.setting.key), None)
    if entry is None:
        return preview
    what = "restores the line that was there before in" if entry.before else "removes its line from"
    line = f"Keeping the undo {what} {FILE}."
    return msgspec.structs.replace(preview, at_boot=(line, *preview.at_boot))


def _changed_since(setting: Setting, context: PlanContext) -> str:
    """Return why the setting cannot be undone; empty if it can."""
    key, kept = setting.name, setting.old
    now = context.values.get(key)
    if now is None:
        return f"{key} cannot be undone: {context.refused.get(key, 'it no longer exists')}"
    if not equal(row_of(key), now, kept):
        return f"{key} is {now or 'empty'} now, but {kept or 'empty'} was kept: it has been changed since"
    return ""


def _hint(kept: Transaction, names: Iterable[str]) -> str:
    """Return what can be done about settings that cannot be undone, of which some may have a line in our file."""
    lines = {entry.key for entry in kept.entries if entry.after}
    forget = [name for name in names if name in lines]
    hint = "to set another value: sockmon tune apply KEY=VALUE"
    return f"{hint}; to remove its line from {FILE}: sockmon tune forget {' '.join(forget)}" if forget else hint


def _proposal_without_details(undo: Plan, context: PlanContext) -> Proposal:
    """Return the proposal if the old values cannot be planned, because the bounds have changed since."""
    previews = tuple(
        Preview(each, "", "", "", (), "", OUT_OF_BOUNDS, memory=None, warnings=()) for each in undo.settings
    )
    commands = tuple(shell_command(each.name, each.new, context) for each in undo.settings)
    back = tuple(shell_command(each.name, each.old, context) for each in reversed(undo.settings))
    return Proposal(undo, previews, (), ROLLBACK, commands, back)
