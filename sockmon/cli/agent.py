"""The agent: the work of the verb, and what the launcher of the screen forks."""

from __future__ import annotations

from collections.abc import Callable

from sockmon import log
from sockmon.cli import console, usage
from sockmon.own_process import continue_with_parent, set_name


def serve(interval: float, netns: str | None, attached: bool) -> None:
    """Print the stream of samples, and answer requests from standard input; `attached`: end when that ends."""
    from sockmon.agent.sampler import open_sampler
    from sockmon.agent.server import StreamServer

    if attached:
        continue_with_parent()
    with open_sampler(netns, interval) as kernel:
        StreamServer(kernel, attached=attached).run()


def load(interval: float, netns: str | None) -> Callable[[], int]:
    """Import what the agent needs, and return a function that serves, attached, and returns the exit code.

    The launcher calls it, not the screen, which so has no code that reads the kernel."""
    import sockmon.agent.server  # noqa: F401

    def run() -> int:
        set_name("sockmon", "agent", "--attached", "--interval", f"{interval:g}")
        log.start("agent")
        try:
            serve(interval, netns, attached=True)
        except (Exception, KeyboardInterrupt) as error:
            return console.exit_code(error)
        return usage.OK

    return run
