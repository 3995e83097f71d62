"""What sysctls do, measured: every effect that sockmon tells of one, where a namespace of its own can show it."""

from sockmon.proofs import ports, queues, time_wait
from sockmon.proofs.proof import Finding, Proof, Step

PROOFS: tuple[Proof, ...] = (*ports.PROOFS, *time_wait.PROOFS, *queues.PROOFS)

BY_KEY = {proof.key: proof for proof in PROOFS}

__all__ = ["BY_KEY", "PROOFS", "Finding", "Proof", "Step"]
