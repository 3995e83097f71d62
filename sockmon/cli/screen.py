"""The screen: starts the agent and the helper, gives up all privilege, and only then imports Textual."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, NoReturn

import click

from sockmon import free_tasks
from sockmon.cli import console, usage
from sockmon.errors import BadSettings, SockmonError, TuningError

if TYPE_CHECKING:
    from sockmon.fleet.feed import Feed
    from sockmon.fleet.hosts import FleetHost
    from sockmon.sources import Source
    from sockmon.tuning.helper.client import HelperClient
    from sockmon.ui.terminal import Terminal


def open_screen(
    spec: str | None,
    netns: str | None,
    interval: float | None,
    theme: str | None,
    read_only: bool,
    story: str,
    pushed: bool = False,
    on_return: Callable[[], object] | None = None,
) -> NoReturn:
    """Show the screen on the source `spec` and exit with its code; raise SockmonError if it cannot start.

    `on_return`: called if the user goes back to the fleet that has opened it."""
    if spec and netns:
        raise click.UsageError("--netns cannot be combined with --from")
    if pushed and not (spec and spec.startswith("ssh://")):
        raise click.UsageError("--push needs --from ssh://HOST")
    console.require_terminal()
    # Imports leave next to no garbage, and each collection would walk over all that they have made.
    gc.disable()
    from sockmon import privileges
    from sockmon.kernel.processes.rlimits import AGENT_DESCRIPTORS, SCREEN_DESCRIPTORS, require_descriptors
    from sockmon.sources import open_source
    from sockmon.sources.ssh import SCHEME
    from sockmon.tuning.transaction.actor import current_actor
    from sockmon.ui.terminal import Terminal

    # First of all: with a soft limit of 10 even the pipes to the agent could not be opened.
    require_descriptors(SCREEN_DESCRIPTORS if spec else AGENT_DESCRIPTORS)
    recorded = spec is not None and not spec.startswith(SCHEME)
    if spec is not None and not recorded:
        privileges.become_invoker()
    free_tasks.require(free_tasks.SCREEN if recorded else free_tasks.LIVE, "the screen")
    helper, no_helper_reason = _open_helper(spec, netns, read_only)
    recording = open_source(spec, interval or 1.0) if spec is not None and recorded else None
    if spec == "-" or not sys.stdin.isatty():
        console.reopen_tty_as_stdin()
    terminal = Terminal()
    # These processes keep the privilege that they need; the screen, which shows foreign text, keeps none.
    source = recording or _start_children(spec, interval or 1.0, netns, pushed, helper, terminal)
    if recording is not None:
        terminal.start_restorer([])
    actor = current_actor()
    privileges.drop()
    # asyncio of Textual then does without it, and without 1.2 MB: nothing of the screen speaks TLS.
    sys.modules["ssl"] = None  # type: ignore[assignment]
    from sockmon.ui.run import run

    gc.freeze()
    gc.enable()
    with terminal.restored_at_end():
        shown = netns or ""
        code = run(
            source, theme, interval, read_only, story, helper, no_helper_reason, terminal, actor, shown, on_return
        )
    # A normal exit would first remove the signal handlers; the timer that bounds the exit would then kill us.
    os._exit(code)


@contextmanager
def telling(opener: int | None) -> Iterator[Callable[[], object] | None]:
    """Tell the fleet that has opened this screen how it ends; yield what tells it that the user comes back.

    `opener`: the descriptor that the fleet reads; None if no fleet has opened it. An error goes there alone."""
    if opener is None:
        yield None
        return
    from sockmon.own_process import end_with_parent
    from sockmon.ui.fleet.live_host import BACK, MAX_REASON_BYTES

    end_with_parent(os.getppid())
    os.set_inheritable(opener, False)
    try:
        yield partial(os.write, opener, BACK)
    except SockmonError as error:
        os.write(opener, "; ".join(filter(None, (error.message, error.hint))).encode()[:MAX_REASON_BYTES])
        sys.exit(usage.FAILED)


def open_fleet(
    feed: Feed, address_of: Callable[[FleetHost], str], theme: str | None, pushed: bool = False
) -> NoReturn:
    """Show the screen of a fleet and exit with its code; `address_of` raises SockmonError without an address.
    `pushed`: send the agent to a host that is opened."""
    from sockmon import privileges
    from sockmon.kernel.processes.rlimits import SCREEN_DESCRIPTORS, require_descriptors

    require_descriptors(SCREEN_DESCRIPTORS)
    free_tasks.require(free_tasks.SCREEN, "the screen")
    if not sys.stdin.isatty():
        console.reopen_tty_as_stdin()
    from sockmon.ui.terminal import Terminal

    terminal = Terminal()
    terminal.start_restorer([])
    privileges.drop()
    with terminal.restored_at_end():
        from sockmon.ui.fleet.run import run

        code = run(feed, address_of, theme, terminal, pushed)
    os._exit(code)


def _start_children(
    spec: str | None,
    interval: float,
    netns: str | None,
    pushed: bool,
    helper: HelperClient | None,
    terminal: Terminal,
) -> Source:
    """Start the launcher, which starts the agent, or ssh to one, the helper and the terminal's restorer."""
    from sockmon.cli.agent import load
    from sockmon.sources.agent_process import Others, local_agent, ssh_agent

    def start() -> None:
        pids = [os.getpid()]
        if helper is not None:
            # Without it nothing can be changed, and the screen says so.
            with suppress(OSError):
                pids.append(helper.start())
        terminal.start_restorer(pids)

    others = Others(start, [*(helper.child.its_ends if helper else ()), *terminal.its_ends])
    source = (
        ssh_agent(spec, interval, others, pushed) if spec else local_agent(partial(load, interval, netns), others)
    )
    terminal.close_its_ends()
    if helper is not None:
        helper.child.close_its_ends()
    return source


def _open_helper(spec: str | None, netns: str | None, read_only: bool) -> tuple[HelperClient | None, str]:
    """Return the connection to the process that makes changes; None and the reason if there is none."""
    if read_only:
        return None, "it was started read-only"
    if spec is not None:
        return None, "this is another host" if spec.startswith("ssh://") else "this is a recording"
    from sockmon.tuning.helper.client import open_helper

    try:
        return open_helper(netns, cannot_act=_why_no_actions()), ""
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
