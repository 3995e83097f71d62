"""What settings do, measured: every effect that sockmon tells of one, where a namespace of its own can show it."""

from sockmon.proofs import (
    binding,
    buffers,
    handshakes,
    ids,
    inotify,
    limits,
    orphans,
    ports,
    queues,
    time_wait,
    timestamps,
    tracking,
)
from sockmon.proofs.elsewhere import ELSEWHERE, Elsewhere
from sockmon.proofs.proof import Finding, Proof, Step

PROOFS: tuple[Proof, ...] = (
    *ports.PROOFS,
    *binding.PROOFS,
    *time_wait.PROOFS,
    *timestamps.PROOFS,
    *queues.PROOFS,
    *handshakes.PROOFS,
    *orphans.PROOFS,
    *buffers.PROOFS,
    *tracking.PROOFS,
    *inotify.PROOFS,
    *ids.PROOFS,
    *limits.PROOFS,
)

BY_KEY = {proof.key: proof for proof in PROOFS}

__all__ = ["BY_KEY", "ELSEWHERE", "PROOFS", "Elsewhere", "Finding", "Proof", "Step"]
