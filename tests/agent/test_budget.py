"""What a budgeted task costs, on a clock that only the task moves."""

from __future__ import annotations

import time

import pytest

from sockmon.agent.budget import FIRST_RUN_PARTS, MAX_FIRST_WAIT, Budget, BudgetedTask
from sockmon.agent.unchanged import UnlessUnchanged
from sockmon.kernel.netlink import Incremental, run


@pytest.mark.parametrize(("first", "waits"), [(1.0, 0.2), (100.0, MAX_FIRST_WAIT)])
def test_the_first_run_is_paid_in_parts(monkeypatch: pytest.MonkeyPatch, first: float, waits: float) -> None:
    spent, costs = [0.0], iter([first] + [0.1] * 20)
    monkeypatch.setattr(time, "process_time", lambda: spent[0])

    def work() -> Incremental[None]:
        spent[0] += next(costs)
        return
        yield

    task = BudgetedTask("part", work, Budget(0.5, 0.01))
    found = []
    for _ in range(FIRST_RUN_PARTS + 3):
        task.run(1.0)
        found.append(task.seconds_until_due(task.at or 0.0))
        task.reschedule()
    assert found == pytest.approx([waits] + [waits + 0.2] * (FIRST_RUN_PARTS - 1) + [0.2] * 3)


def test_a_dump_is_made_again_if_a_number_differs_or_is_not_known() -> None:
    made: list[int] = []
    numbers: list[object] = [1, 1, 2, None, None]

    def dump() -> Incremental[int]:
        made.append(len(made))
        return made[-1]
        yield

    once = UnlessUnchanged(lambda: numbers.pop(0), dump, 60.0)
    assert [run(once.steps()) for _ in range(5)] == [0, 0, 1, 2, 3]
    numbers += [5, 5]
    old = UnlessUnchanged(lambda: numbers.pop(0), dump, 0.0)
    assert [run(old.steps()) for _ in range(2)] == [4, 5]
