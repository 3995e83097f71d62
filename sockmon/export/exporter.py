"""Samples this host for metrics: a scrape reads the last Assessment, never the kernel."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from sockmon.agent.sampler import Sampler
from sockmon.assess.several import HostAssessor
from sockmon.ceilings.level_rules import LevelRules
from sockmon.export.label_budget import LabelBudget
from sockmon.export.metric import Facts
from sockmon.export.subjects import DEFAULT_TOP
from sockmon.fault_log import FAULTS
from sockmon.model.snapshot import Missing

REST_SECONDS = 0.015
"""Pause between two slices of budgeted work."""


class Exporter:
    """Takes a sample each interval in the thread that calls `run`; `facts` may be called from any thread."""

    def __init__(
        self, sampler: Sampler, levels: LevelRules, top: int = DEFAULT_TOP, refused: Sequence[Missing] = ()
    ) -> None:
        self._sampler = sampler
        self._assessor = HostAssessor(levels=levels)
        self._top = top
        self._names = LabelBudget()
        self._refused = refused
        self._newest: tuple[float, Facts] | None = None
        self._stopped = threading.Event()

    def facts(self) -> Facts | None:
        """Return what is known as of the newest sample; None before the first one."""
        newest = self._newest
        if newest is None:
            return None
        at, facts = newest
        return replace(facts, age=time.monotonic() - at)

    def sample(self, complete: bool = False) -> None:
        """Take one sample; raise ReadError if nothing can be read."""
        at, assessment = time.monotonic(), self._assessor.add(self._sampler.sample(complete=complete))
        self._newest = at, Facts(assessment, 0.0, self._top, self._names.admits, self._refused)

    def run(self, publish: Callable[[], None] | None = None) -> None:
        """Sample until `stop`, and call `publish` after each sample. One that fails is noted in the log, and the
        metrics get older."""
        while not self._stopped.is_set():
            end = time.monotonic() + self._sampler.interval
            while (left := end - time.monotonic()) > 0 and not self._stopped.is_set():
                self._stopped.wait(min(left, REST_SECONDS if self._sampler.step() else left))
            try:
                self.sample()
                if publish is not None:
                    publish()
            except Exception as error:
                FAULTS.note("sample", error)

    def stop(self) -> None:
        """Let `run` return."""
        self._stopped.set()
