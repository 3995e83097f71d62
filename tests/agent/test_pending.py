"""The queue of requests of the agent."""

from __future__ import annotations

import time
from typing import Any

import pytest

from sockmon.agent import pending
from sockmon.agent.process_pages import ended
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


def test_an_answer_says_how_much_processor_time_it_took(monkeypatch: pytest.MonkeyPatch) -> None:
    def steps(sampler: object, query: ProcessQuery) -> Any:
        end = time.process_time() + 0.01
        while time.process_time() < end:
            yield None
        return ended(query, ())

    monkeypatch.setattr(pending, "answer_query", steps)
    sampler: Any = None
    queue = pending.Pending(sampler)
    queue.add(ProcessQuery(1, 1))
    found: list[Any] = []
    while queue:
        found += queue.work(0.001)
    assert found[0].seconds > 0.005, "what lies between two slices does not count"
