"""Healthy: a database with some asynchronous requests. The limit itself is host-wide: its lab is a recording."""

from __future__ import annotations

from collections.abc import Iterator

from sockmon.errors import LabUnavailable
from sockmon.sandbox.builder import LabBuilder
from sockmon.sandbox.loads.aio import io_setup
from sockmon.sandbox.scenario import Lab
from sockmon.sandbox.workers import FOREVER

CONTEXTS, REQUESTS = 4, 128


def _database() -> Iterator[float]:
    for _ in range(CONTEXTS):
        io_setup(REQUESTS)
    yield FOREVER


def _build(builder: LabBuilder) -> None:
    try:
        # Reserved by the first process of the lab, for as long as it lasts.
        io_setup(1)
    except OSError as error:
        raise LabUnavailable(f"asynchronous I/O is not available here: {error.strerror}") from error
    builder.start("database", _database)


FEW = Lab(
    name="aio-few",
    ceiling=None,
    title="a database with asynchronous I/O",
    scenario="A database reserves 512 asynchronous requests in four contexts, of the 65,536 that the host has.",
    what_to_see="no alarm: asynchronous requests far below their limit",
    claim="requests that are reserved once and do not grow raise no alarm",
    build=_build,
    expect_first=None,
    check_seconds=10.0,
)
