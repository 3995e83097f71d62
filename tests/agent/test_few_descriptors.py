"""How a sampler works on its tasks; with few descriptors: one dump at a time, on one socket."""

from __future__ import annotations

import time
from contextlib import closing
from functools import partial

import pytest

from sockmon.agent.budget import Budget, BudgetedTask
from sockmon.agent.sampler import Sampler
from sockmon.kernel.netlink import Incremental
from sockmon.kernel.netns import open_current

SLICE = 0.001


def burn() -> None:
    """Use more of the processor than one slice."""
    end = time.process_time() + 2 * SLICE
    while time.process_time() < end:
        pass


@pytest.mark.fault("R1")
def test_a_dump_keeps_its_socket_until_its_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Queues are due again after 0.1 s, and a dump may take longer on a busy machine."""
    with closing(open_current(keeps_open=False)) as own, closing(Sampler([own], own)) as sampler:

        def dump() -> Incremental[bool]:
            socket = own.scan_socket
            burn()
            yield
            return socket is own.scan_socket

        task = BudgetedTask("dump", dump, Budget(1.0, 0.0))
        monkeypatch.setattr(Sampler, "tasks", (task,))
        queues = sampler.netns[0].listeners.queue_task
        queues.run(1.0)
        assert sampler.step(SLICE)
        assert task.active
        queues.reschedule()
        assert sampler.step(SLICE)
        assert task.value is True


def test_a_complete_sample_does_each_part_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a million sockets the first parts are due again before the last one has ended."""
    with closing(open_current()) as own, closing(Sampler([own], own)) as sampler:
        runs = []

        def part(number: int) -> Incremental[None]:
            runs.append(number)
            yield

        tasks = [BudgetedTask("part", partial(part, number), Budget(1.0, 0.0)) for number in (1, 2)]
        monkeypatch.setattr(Sampler, "tasks", tasks)
        sampler.sample(complete=True)
        assert runs == [1, 2]
