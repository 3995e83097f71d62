"""Steps that guides to an accept queue share: what limits the backlog, and net.core.somaxconn as its cap."""

from __future__ import annotations

from sockmon.ceilings.backlogs import SOMAXCONN
from sockmon.guides.examples import BACKLOG
from sockmon.guides.findings import advised_settings, advises, listen_again
from sockmon.guides.guide import Act, Branch, Decide
from sockmon.misconceptions import SOMAXCONN_ALONE


def backlog_steps(otherwise: str, label: str) -> tuple[Decide, Act]:
    """Return the steps; `otherwise` is the next step, called `label`, where the cap is not what limits."""
    return (
        Decide(
            id="backlog",
            title="The backlog",
            question="What limits the queue: net.core.somaxconn, or the application?",
            branches=(Branch("raise-cap", f"{SOMAXCONN} caps it", advises(SOMAXCONN)),),
            otherwise=otherwise,
            otherwise_label=label,
            misconceptions=(SOMAXCONN_ALONE,),
        ),
        Act(
            id="raise-cap",
            title="Raise the cap of backlogs",
            settings=advised_settings(SOMAXCONN),
            advice=listen_again,
            examples=BACKLOG,
            done="room",
        ),
    )
