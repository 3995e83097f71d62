"""What the helper is started with."""

from __future__ import annotations

from typing import NamedTuple

from sockmon.model.transaction import Actor


class HelperConfig(NamedTuple):
    """What the helper is started with."""

    root: str
    actor: Actor
    """The user at the screen: the helper has no terminal, and under sudo the screen changes its user later."""
    netns: str | None
    """The network namespace that the screen shows; None: our own."""
    cannot_apply: str = ""
    """The reason why no change can be applied, if that was known at the start."""
    cannot_act: str = ""
    """The reason why nothing may be closed, deleted or signalled; empty if it may."""
    ssh_connection: str = ""
    """SSH_CONNECTION of the screen: the connection that carries its terminal."""
