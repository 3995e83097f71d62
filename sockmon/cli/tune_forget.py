"""`sockmon tune forget`: remove a line that `keep --persist` wrote, whatever became of the value."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from sockmon.cli import usage
from sockmon.cli.tune_apply import JSON, ROOT, YES, print_transaction, require_root
from sockmon.errors import TuningError
from sockmon.text import sanitize

if TYPE_CHECKING:
    from sockmon.tuning.planning.context import PlanContext


@click.command(
    short_help="Remove a line that `keep --persist` wrote.",
    epilog=usage.exit_codes("0 removed", "1 if there is no such line, or the file could not be written"),
)
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@YES
@JSON
@ROOT
def forget(keys: tuple[str, ...], yes: bool, json_: bool, root: str) -> None:
    """Remove the line of each KEY from /etc/sysctl.d/90-sockmon.conf, whatever its value is now.

    The value itself stays as it is; see what a restart makes of it. Lines that sockmon did not write stay too.
    `sockmon tune undo` restores the value and the line together, as long as the value was not changed since."""
    from sockmon.cli.confirm import confirm
    from sockmon.cli.text_page import render_page, terminal_width_and_colour
    from sockmon.model.plan import Plan
    from sockmon.tunables import BY_KEY
    from sockmon.tuning.boot.dropin import FILE, content_without
    from sockmon.tuning.boot.forecast import boot_forecasts
    from sockmon.tuning.planning.forget import forget_pages
    from sockmon.tuning.transaction.actor import current_actor
    from sockmon.tuning.transaction.client import apply
    from sockmon.tuning.transaction.confinement import state_root

    content = _our_file(root)
    lines = _lines_of(keys, content)
    known = [key for key in lines if key in BY_KEY]
    after = boot_forecasts(known, state_root(root), overlay={FILE: content_without(lines, content)})
    context = _current_settings(known)
    for page in forget_pages(lines, context, after, FILE):
        click.echo(render_page(*page, *terminal_width_and_colour()), err=True, color=True)
    for message in _lost_with_them(content, content_without(lines, content), state_root(root)):
        click.echo(f"Warning: {message}", err=True)
    if not yes:
        require_root(root, ["forget", *keys])
        confirm("The line is removed at once. No value changes, so nothing is held or rolled back.")
    done = apply(Plan((), context.netns_inode, context.boot_id, forgets=tuple(lines)), current_actor(), root=root)
    print_transaction(done, json_)
    if done.forgotten != done.plan.forgets:
        sys.exit(1)


def _our_file(root: str) -> bytes:
    from sockmon.tuning.boot.dropin import FILE
    from sockmon.tuning.boot.sysctl_d import UnreadableFile, read_file
    from sockmon.tuning.transaction.confinement import state_root

    try:
        return read_file(Path(state_root(root), FILE.lstrip("/")))
    except FileNotFoundError:
        return b""
    except (OSError, UnreadableFile) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise TuningError(f"{FILE} cannot be read: {reason}") from error


def _lost_with_them(before: bytes, after: bytes, root: str | Path) -> list[str]:
    """Return which of the lines that stay in our file would set their keys no longer, with the reason."""
    from sockmon.model.plan import Setting
    from sockmon.tunables import BY_KEY
    from sockmon.tuning.boot.at_boot import not_set_at_boot
    from sockmon.tuning.boot.dropin import FILE, assignments
    from sockmon.tuning.boot.this_kernel import this_kernel
    from sockmon.tuning.boot.winning_line import read_boot_files

    pairs = (line.partition("=")[::2] for line in assignments(after).values())
    stay = [Setting(key.strip(), "", value.strip()) for key, value in pairs if key.strip() in BY_KEY]
    was, then = (
        not_set_at_boot(stay, read_boot_files(root, {FILE: content}), this_kernel()) for content in (before, after)
    )
    already = {each.key for each in was}
    return [f"{each.message}; its line in {FILE} stays" for each in then if each.key not in already]


def _lines_of(names: Iterable[str], content: bytes) -> dict[str, str]:
    """Return our line for each of `names`, by its key as the line has it; raise TuningError if there is none."""
    from sockmon.tuning.boot.dropin import assignments
    from sockmon.tuning.boot.sysctl_d import path_of

    ours = {line.partition("=")[0].strip(): line for line in assignments(content).values()}
    found: dict[str, str] = {}
    for name in names:
        wanted = {path_of(key) for key in _possible_keys(name)}
        there = [key for key in ours if path_of(key) in wanted]
        if not there:
            raise _no_line(name, wanted, content, ours)
        found |= {key: ours[key] for key in there}
    return found


def _possible_keys(name: str) -> list[str]:
    """Return every key that `name` can mean: a line may have another name of the same number."""
    from sockmon.tunables import BY_KEY
    from sockmon.tuning.planning.naming import dotted, matching_keys

    if "@" in name:
        return []
    known = [each.key for each in matching_keys(name) if each.key in BY_KEY]
    return [dotted(name), *known, *(other for key in known for other in BY_KEY[key].aliases)]


def _no_line(name: str, wanted: Collection[str], content: bytes, ours: Iterable[str]) -> TuningError:
    """Return the error for a name that has no line of ours; raise NoSuchName if it is not a setting at all."""
    from sockmon.tuning.boot.dropin import FILE
    from sockmon.tuning.boot.sysctl_d import SYSTEMD, SysctlFile, parse_lines
    from sockmon.tuning.planning.naming import find_key

    message = f"{FILE} has no line of sockmon for {sanitize(name, 80)}"
    if "@" in name:
        hint = "sockmon writes no file for the limit of a process or cgroup: what starts it has its own setting"
        return TuningError(message, hint)
    for line in parse_lines(SysctlFile(FILE, content), SYSTEMD):
        if line.path in wanted:
            return TuningError(
                message, f"sockmon did not write line {line.number}, which sets it: remove it by hand"
            )
    find_key(name)
    there = ", ".join(ours)
    return TuningError(message, f"it has lines for: {there}" if there else "it has no lines of sockmon at all")


def _current_settings(keys: Iterable[str]) -> PlanContext:
    from sockmon.tuning.helper.sysctl_reader import read_settings
    from sockmon.tuning.planning.context import PlanContext

    return PlanContext.of(read_settings(keys))
