"""The table of contents: a pane is one file and its line here."""

from __future__ import annotations

from sockmon.ui.panes.conntrack import ConntrackPane
from sockmon.ui.panes.pane import Pane, View
from sockmon.ui.panes.ports import PortsPane
from sockmon.ui.panes.processes import ProcessesPane
from sockmon.ui.panes.sockets import SocketsPane

PANES: tuple[type[Pane], ...] = (SocketsPane, ProcessesPane, PortsPane, ConntrackPane)
"""In the order of their numbers."""

__all__ = ["PANES", "Pane", "View"]
