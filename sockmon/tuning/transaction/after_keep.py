"""What became of a change when it was kept: the settings that were gone by then, and those that do not last until
a reboot, because a file of sysctl.d sets them to another value."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import msgspec

from sockmon.errors import SockmonError
from sockmon.model.boot import BootForecast
from sockmon.model.plan import Setting
from sockmon.model.transaction import ForeignValue
from sockmon.tunables import row_of
from sockmon.tunables.lasting_in_netns import ways_to_last
from sockmon.tunables.value import equal
from sockmon.tuning.boot.forecast import boot_forecasts
from sockmon.tuning.transaction.journal import JournalState


class Duration(NamedTuple):
    """How long the settings of a kept change last, if not until the next reboot."""

    messages: list[str]
    """A sentence for each setting that is gone, or is set by a file."""
    set_by_files: tuple[str, ...]
    """Names of the settings that a file sets to another value."""


def duration_of(recorded: JournalState, root: str) -> Duration:
    """Return what became of the settings of a kept change, from the files below `root`; never raise."""
    assert recorded.begin is not None
    plan, lost = recorded.begin.plan, {each.name: each for each in recorded.not_kept}
    forecasts = _forecasts([each.key for each in plan.settings if each.is_sysctl], root)
    gone = [_not_kept(lost[each.name], forecasts.get(each.key)) for each in plan.settings if each.name in lost]
    if plan.target is not None:
        kept = [each for each in plan.settings if each.name not in lost]
        ways = ways_to_last(msgspec.structs.replace(plan, settings=tuple(kept)))
        return Duration([*gone, *(() if plan.undoes else ways)], ())
    files = list(_set_by_files([each for each in plan.settings if each.name not in lost], forecasts))
    # An undo has such a sentence for each line that it has restored.
    told = () if plan.undoes else files
    lasting = [
        f"{each.name}: kept until sysctl.d is applied again: {_lines(forecasts[each.key])}" for each in told
    ]
    return Duration([*gone, *lasting], tuple(each.name for each in files))


def _forecasts(keys: list[str], root: str) -> Mapping[str, BootForecast]:
    try:
        # /dev/null in place of /proc: only the files decide, and the lock is held.
        return boot_forecasts(keys, root, os.devnull)
    except (SockmonError, OSError, ValueError, KeyError):
        return {}


def _not_kept(gone: ForeignValue, forecast: BootForecast | None) -> str:
    if gone.now is None:
        return f"{gone.name}: not kept: it does not exist any more"
    text = f"{gone.name}: not kept: it is {gone.now or 'empty'} now"
    if "@" in gone.name:
        by = ": systemd or the engine of a container may have written it" if "/" in gone.name else ""
        return f"{text}{by}"
    if forecast is None or not _sets_it(forecast):
        return f"{text}, and no file of sysctl.d sets it: a program or a person has written it"
    if forecast.value is None or not equal(row_of(gone.name), forecast.value, gone.now):
        return f"{text}, which is not what sysctl.d sets: {_lines(forecast)}"
    return f"{text}, as sysctl.d sets it, which may have been applied again: {_lines(forecast)}"


def _set_by_files(settings: list[Setting], forecasts: Mapping[str, BootForecast]) -> Iterator[Setting]:
    for setting in settings:
        forecast = forecasts.get(setting.key)
        if forecast is None or not _sets_it(forecast):
            continue
        if forecast.value is None or not equal(row_of(setting.key), forecast.value, setting.new):
            yield setting


def _sets_it(forecast: BootForecast) -> bool:
    # Without a value, two sentences mean that the two programs differ.
    return forecast.value is not None or len(forecast.sentences) > 1


def _lines(forecast: BootForecast) -> str:
    return "; ".join(forecast.sentences)
