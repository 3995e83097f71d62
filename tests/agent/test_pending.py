"""The queue of requests of the agent."""

from __future__ import annotations

from typing import Any

import pytest

from sockmon.agent import pending
from sockmon.model.detail import ProcessQuery


def test_the_same_request_waits_once(monkeypatch: pytest.MonkeyPatch) -> None:
    begun = []

    def steps(query: ProcessQuery) -> Any:
        yield None
        return query

    def answer(sampler: object, query: ProcessQuery) -> Any:
        begun.append(query)
        return steps(query)

    monkeypatch.setattr(pending, "answer_query", answer)
    sampler: Any = None
    queue = pending.Pending(sampler)
    first, other = ProcessQuery(1, 1), ProcessQuery(2, 1)
    for query in (first, other, first, first):
        queue.add(query)
    assert begun == [first, other]
    found: list[Any] = []
    while queue:
        found += queue.work(1.0)
    assert found == [first, other]
    queue.add(first)
    assert begun == [first, other, first]
