"""The plan that takes a kept change back, with its preview: the old values, where nobody changed them since."""

from __future__ import annotations

from dataclasses import replace

import msgspec

from sockmon.errors import Refused, SockmonError
from sockmon.model import change
from sockmon.model.change import Plan, Preview, Proposal, Setting, Transaction
from sockmon.tunables import row_of
from sockmon.tunables.value import same
from sockmon.tuning.here import Here
from sockmon.tuning.plan import REVERT, command, plan

UNBOUND = "the value that was there before is out of the bounds that sockmon keeps for new ones"


def undoing(kept: Transaction, here: Here) -> Proposal:
    """What undoes `kept` here; Refused where that would overwrite somebody else's value."""
    undo = change.undoing(kept, here.netns, here.boot_id)
    if undo.netns != here.netns and not all(setting.pid for setting in undo.settings):
        raise Refused(
            f"it changed the network namespace net:[{undo.netns}], and this is another one",
            "run sockmon there to take it back",
        )
    for setting in undo.settings:
        _require_ours(setting, here)
    try:
        made = plan({each.name: each.new for each in undo.settings}, replace(here, fixed=""))
    except SockmonError:
        return _bare(undo, here)
    by_name = {each.setting.name: each for each in made.previews}
    previews = tuple(by_name[each.name] for each in undo.settings)
    return msgspec.structs.replace(made, plan=undo, previews=previews)


def _require_ours(setting: Setting, here: Here) -> None:
    key, kept = setting.name, setting.old
    now = here.values.get(key)
    if now is None:
        raise Refused(f"{key} cannot be taken back: {here.refused.get(key, 'it is not there any more')}")
    if not same(row_of(key), now, kept):
        raise Refused(
            f"{key} is {now or 'empty'} now, and {kept or 'empty'} was kept: somebody changed it since",
            "plan the value that you want instead",
        )


def _bare(undo: Plan, here: Here) -> Proposal:
    """The same without what is known of each key."""
    previews = tuple(Preview(each, "", "", "", (), "", UNBOUND, None, ()) for each in undo.settings)
    by_hand = tuple(command(each.name, each.new, here.door) for each in undo.settings)
    back = tuple(command(each.name, each.old, here.door) for each in reversed(undo.settings))
    return Proposal(undo, previews, (), REVERT, by_hand, back)
