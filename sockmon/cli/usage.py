"""What the verbs share: exit codes, the paragraph of `--help` that lists them, and common options."""

from __future__ import annotations

import math
from typing import Any

import click

OK, FAILED, UNKNOWN = 0, 1, 3
"""For `check` and `fleet`, 0 to 3 are verdicts and have no other meaning."""
MISUSE = 64
"""EX_USAGE of sysexits(3): an unknown verb, option or name, a bad value, a missing or an extra argument."""
FAULT = 70
"""EX_SOFTWARE of sysexits(3): a fault of sockmon."""
INTERRUPTED = 130


class Seconds(click.FloatRange):
    """A range of seconds without `nan`, which click accepts because it is neither too small nor too large."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the seconds; fail if they are not a number inside the range."""
        try:
            float(value)
        except ValueError:
            self.fail(f"{value!r} is not a number of seconds", param, ctx)
        seconds = super().convert(value, param, ctx)
        if math.isnan(seconds):
            self.fail(f"{value!r} is not a valid duration", param, ctx)
        return seconds


def exit_codes(*meanings: str, fault: bool = True) -> str:
    """Return the last paragraph of a verb's help: `meanings`, such as `0 ok`, and the codes of all verbs."""
    common = ["64 if the command line is wrong", *(["70 after a fault of sockmon"] if fault else [])]
    return f"Exit code: {', '.join([*meanings, *common])}."


netns_option = click.option(
    "--netns",
    metavar="NAME|PID|PATH",
    help="Use this network namespace: its name, or that of the container, pod, machine or unit in it, the PID of a"
    " process in it, or a path.",
)
interval_option = click.option(
    "--interval", type=Seconds(0.2, 60), metavar="SECONDS", help="Seconds between samples (default 1)."
)
