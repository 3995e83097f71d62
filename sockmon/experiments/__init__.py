"""What each setting does, measured on this kernel in private namespaces: `sockmon prove`.

An experiment is one function, listed in EXPERIMENTS of its file; `not_isolatable.py` has the settings without one.
May import `sandbox`, `tunables`, `document`, `kernel` and `model`. Tests: `tests/experiments/`."""

from sockmon.experiments import (
    binding,
    buffers,
    handshakes,
    ids,
    inotify,
    lifetimes,
    limits,
    orphans,
    ports,
    queues,
    time_wait,
    timestamps,
    tracking,
)
from sockmon.experiments.experiment import Experiment
from sockmon.experiments.not_isolatable import NOT_ISOLATABLE, NotIsolatable

EXPERIMENTS: tuple[Experiment, ...] = (
    *ports.EXPERIMENTS,
    *binding.EXPERIMENTS,
    *time_wait.EXPERIMENTS,
    *timestamps.EXPERIMENTS,
    *queues.EXPERIMENTS,
    *handshakes.EXPERIMENTS,
    *lifetimes.EXPERIMENTS,
    *orphans.EXPERIMENTS,
    *buffers.EXPERIMENTS,
    *tracking.EXPERIMENTS,
    *inotify.EXPERIMENTS,
    *ids.EXPERIMENTS,
    *limits.EXPERIMENTS,
)

BY_KEY = {experiment.key: experiment for experiment in EXPERIMENTS}

__all__ = ["BY_KEY", "EXPERIMENTS", "NOT_ISOLATABLE", "Experiment", "NotIsolatable"]
