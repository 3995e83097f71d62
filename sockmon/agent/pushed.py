"""The agent without the command line, for a host to which its code was sent: see `sources/push.py`.

It needs no package that is not in the archive, and writes no file: what would go to the log goes to stderr.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from sockmon.agent.queue_samples import pause_and_sample, sample_first
from sockmon.agent.sampler import open_sampler
from sockmon.agent.server import StreamServer
from sockmon.errors import PREFIX, SockmonError
from sockmon.own_process import continue_with_parent, set_name
from sockmon.sources.push import SAMPLES
from sockmon.sources.wire import encode, hello
from sockmon.sources.wire_netns import SnapshotWriter

RESAMPLE_SECONDS = 1.0
"""Time between the last two samples for a report: a counter proves a hit only if it increases."""


def main(words: Sequence[str]) -> int:
    """Print the stream with the interval that is the first word, or samples for a report; return the exit code."""
    set_name("sockmon")
    try:
        if words[0] == SAMPLES:
            _samples()
        else:
            _serve(float(words[0]))
    except SockmonError as error:
        hint = f"  {error.hint}\n" if error.hint else ""
        sys.stderr.write(f"{PREFIX}{error.message}\n{hint}")
        return error.exit_code
    except BrokenPipeError:
        return 0
    return 0


def _serve(interval: float) -> None:
    continue_with_parent()
    with open_sampler(None, interval) as kernel:
        StreamServer(kernel, attached=True).run()


def _samples() -> None:
    """Print what `check` reads of all namespaces."""
    lines = SnapshotWriter()
    with open_sampler(None, RESAMPLE_SECONDS, complete=True, others=True) as kernel, os.fdopen(1, "wb") as out:
        sample_first(kernel.listeners)
        early, first = kernel.compose(), kernel.sample(complete=True)
        out.write(hello())
        # With very many sockets the first sample takes so long that its begin and its end show what increases.
        slow = first.at - early.at >= RESAMPLE_SECONDS
        for sample in (early, first) if slow else (first,):
            out.write(encode(lines.line(sample)))
        pause_and_sample(kernel.listeners, RESAMPLE_SECONDS)
        kernel.resample_queues()
        out.write(encode(lines.line(kernel.compose())))
