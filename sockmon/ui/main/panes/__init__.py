"""The five panes of the main screen: a pane is one file here, and its line in `PANES`.

May import what `ui.main` may. Tests: `tests/ui/test_main_screen.py`, `tests/ui/test_opening_rows.py`.
"""

from __future__ import annotations

from sockmon.ui.main.panes.conntrack import ConntrackPane
from sockmon.ui.main.panes.namespaces import NamespacesPane
from sockmon.ui.main.panes.pane import Pane, View
from sockmon.ui.main.panes.ports import PortsPane
from sockmon.ui.main.panes.processes import ProcessesPane
from sockmon.ui.main.panes.sockets import SocketsPane

PANES: tuple[type[Pane], ...] = (SocketsPane, ProcessesPane, PortsPane, ConntrackPane, NamespacesPane)
"""In the order of their numbers."""

__all__ = ["PANES", "Pane", "View"]
