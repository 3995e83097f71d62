"""What the guard requires of a plan before it touches anything: the process that made it has less privilege."""

from __future__ import annotations

import re

from sockmon.errors import TuningError
from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.model.plan import MAX_REASONS, Plan
from sockmon.text import sanitize
from sockmon.tuning.transaction.host_only import host_only_reason
from sockmon.tuning.transaction.plan_netns import validate_target
from sockmon.tuning.transaction.targets import require_reversible, validate_setting

MAX_HOLD_SECONDS = 3600.0
MAX_SETTINGS = 64
MAX_FORGOTTEN, MAX_KEY_CHARACTERS = 64, 400
_FILE_KEY = re.compile(r"[a-z0-9_]+([./][A-Za-z0-9_.:@-]+)+")


def validate_hold(seconds: float) -> None:
    """Raise TuningError unless a change may be held for so long."""
    if not 0 < seconds <= MAX_HOLD_SECONDS:
        raise TuningError(
            f"the hold time is {seconds:g} s; more than 0 and at most {MAX_HOLD_SECONDS:,.0f} s are allowed"
        )


def validate_plan(plan: Plan) -> None:
    """Raise TuningError unless the plan is well-formed, and made for this boot and network namespace."""
    if plan.forgets:
        _validate_forgets(plan)
    elif not 0 < len(plan.settings) <= MAX_SETTINGS:
        raise TuningError(f"the plan has {len(plan.settings)} settings; 1 to {MAX_SETTINGS} are allowed")
    if len(plan.reasons) > MAX_REASONS:
        raise TuningError(f"the plan has {len(plan.reasons)} reasons; at most {MAX_REASONS} are allowed")
    if len({setting.name for setting in plan.settings}) < len(plan.settings):
        raise TuningError("the plan sets the same key twice")
    for setting in plan.settings:
        validate_setting(setting)
        require_reversible(setting)
        why = "" if setting.pid else host_only_reason(setting.key)
        if why:
            raise TuningError(f"{setting.name}: {why}")
    if plan.boot_id != boot_id():
        raise TuningError("the plan was made before the last reboot", "plan it again")
    if plan.target is not None:
        validate_target(plan)
    elif plan.netns != netns_inode():
        raise TuningError(
            f"the plan is for network namespace net:[{plan.netns}], but this is net:[{netns_inode()}]"
        )


def _validate_forgets(plan: Plan) -> None:
    """Raise TuningError unless the plan does nothing but remove lines of valid keys from our file."""
    if plan.settings or plan.undoes:
        raise TuningError("a plan that removes lines has no settings")
    if len(plan.forgets) > MAX_FORGOTTEN:
        raise TuningError(f"the plan removes {len(plan.forgets)} lines; at most {MAX_FORGOTTEN} are allowed")
    for key in plan.forgets:
        if len(key) > MAX_KEY_CHARACTERS or ".." in key or not _FILE_KEY.fullmatch(key):
            raise TuningError(f"{sanitize(key, 80)}: not a key of a sysctl")
