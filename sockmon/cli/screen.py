"""The screen: starts the agent and the helper, gives up all privilege, and only then imports Textual."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, NoReturn

import click

from sockmon import free_tasks
from sockmon.cli import console
from sockmon.errors import BadSettings, TuningError

if TYPE_CHECKING:
    from sockmon.tuning.helper.client import HelperClient


def open_screen(
    spec: str | None, netns: str | None, interval: float | None, theme: str | None, read_only: bool, story: str
) -> NoReturn:
    """Show the screen on the source `spec` and exit with its code; raise SockmonError if it cannot start."""
    if spec and netns:
        raise click.UsageError("--netns cannot be combined with --from")
    console.require_terminal()
    from sockmon import privileges
    from sockmon.kernel.processes.rlimits import AGENT_DESCRIPTORS, SCREEN_DESCRIPTORS, require_descriptors
    from sockmon.sources import open_source
    from sockmon.sources.agent_process import AgentProcess
    from sockmon.tuning.helper.client import HelperClient
    from sockmon.tuning.transaction.actor import current_actor

    # First of all: with a soft limit of 10 even the pipes to the agent could not be opened.
    require_descriptors(SCREEN_DESCRIPTORS if spec else AGENT_DESCRIPTORS)
    remote = spec is not None and spec.startswith("ssh://")
    free_tasks.require(free_tasks.LIVE if spec is None or remote else free_tasks.SCREEN, "the screen")
    # The agent keeps the privileges that it needs. The screen, which shows foreign text, keeps none.
    source = open_source(spec, interval or 1.0, netns)
    if spec == "-" or not sys.stdin.isatty():
        console.reopen_tty_as_stdin()
    helper, no_helper_reason = _start_helper(spec, netns, read_only)
    from sockmon.ui.terminal import Terminal

    # Started with privilege, so that it can end the children that keep theirs.
    children = [child.pid for child in (source, helper) if isinstance(child, (AgentProcess, HelperClient))]
    terminal = Terminal(children)
    actor = current_actor()
    privileges.drop()
    with terminal.restored_at_end():
        from sockmon.ui.run import run

        shown = netns or ""
        code = run(source, theme, interval, read_only, story, helper, no_helper_reason, terminal, actor, shown)
    # A normal exit would first remove the signal handlers; the timer that bounds the exit would then kill us.
    os._exit(code)


def _start_helper(spec: str | None, netns: str | None, read_only: bool) -> tuple[HelperClient | None, str]:
    """Start the process that keeps the privilege to make changes; return None and the reason if there is none."""
    if read_only:
        return None, "it was started read-only"
    if spec is not None:
        return None, "this is another host" if spec.startswith("ssh://") else "this is a recording"
    from sockmon.tuning.helper.client import start_helper

    try:
        return start_helper(netns, cannot_act=_why_no_actions()), ""
    except TuningError as error:
        return None, error.message


def _why_no_actions() -> str:
    """Return why the config file of this user, who may be root, allows no action; the screen asks that of its own
    user."""
    from sockmon import settings

    try:
        return settings.load().why_no_actions
    except BadSettings as error:
        return f"the config file cannot be read: {error.message}"
