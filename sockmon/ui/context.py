"""What screens may use of the app: they know this protocol and not the app, so the imports have no circle."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, cast

if TYPE_CHECKING:
    # Its names alone are needed: the screen of a fleet then has no guides, settings and plans in its process.
    from textual.notifications import SeverityLevel
    from textual.widget import Widget

    from sockmon.assess import Assessment
    from sockmon.guides import Guide
    from sockmon.guides.facts import Place
    from sockmon.model.boot import Drift
    from sockmon.model.detail import DetailQuery
    from sockmon.model.detail import Request as AgentRequest
    from sockmon.model.helper_protocol import HelperStatus
    from sockmon.model.helper_protocol import Request as HelperRequest
    from sockmon.model.plan import NetnsTarget, Plan, Proposal
    from sockmon.model.report import Reading
    from sockmon.model.transaction import Actor, Transaction
    from sockmon.sources import Source
    from sockmon.tuning.planning.context import PlanContext
    from sockmon.ui.detail.sockets_place import SocketsPlace
    from sockmon.ui.guiding.session import GuideSession


class AppContext(Protocol):
    """The app, as its screens use it."""

    source: Source
    keys: dict[str, str]
    """Action id → keys, of the actions whose keys the user chose."""
    paused: bool

    @property
    def key_was_pressed(self) -> bool:
        """Whether the user has pressed a key since the start."""

    def on_board_drawn(self) -> None:
        """The first board is on the terminal, or no sample has come for a while."""

    def ask(self, request: AgentRequest) -> bool:
        """Send a request to the agent; return False if it cannot answer."""

    def ask_helper(self, request: HelperRequest) -> bool:
        """Send a request to the helper; return False if there is no helper."""

    def show_message(self, text: str, severity: SeverityLevel = "warning") -> None:
        """Show a notification of plain text."""

    def open(self, thing: DetailQuery | Reading | SocketsPlace) -> None:
        """Open the screen of a reading, or of a process, a port group, a listener, a socket or all sockets."""

    @property
    def cannot_tune(self) -> str:
        """Why no change can be applied; empty if one can."""

    @property
    def helper_status(self) -> HelperStatus | None:
        """The newest status of the helper; None before the first one."""

    @property
    def unfinished_changes(self) -> tuple[Transaction, ...]:
        """The pending change, and those whose guard has not finished."""

    @property
    def drift(self) -> tuple[Drift, ...]:
        """Kept settings that have another value now, or will have after a reboot."""

    def plan_context(self) -> PlanContext | None:
        """Return what a plan is made from; None before the first sample."""

    def plan_in(self, netns: NetnsTarget | None) -> None:
        """Read and plan the settings of this network namespace from now on; None: that of sockmon."""

    def plan_for(self, netns: int) -> None:
        """Read and plan the settings of the network namespace that a walk is about, by its inode."""

    def tune(
        self, reading: Reading | None = None, wanted: Mapping[str, str] | None = None, netns: int = 0
    ) -> None:
        """Open the tuning panel, with the advice of `reading` filled in, or with `wanted`: values by key, in the
        network namespace of this inode."""

    def preview(self, proposal: Proposal, about: Reading | None = None) -> None:
        """Open the preview of a plan; `about`: the alarm that it is meant to end."""

    def with_reasons(self, plan: Plan, about: Reading | None) -> Plan:
        """Return the plan with the alarms of this moment that it is meant to end."""

    @property
    def cannot_act(self) -> str:
        """Why nothing can be closed, deleted or signalled from this screen; empty if the helper decides."""

    def history(self) -> None:
        """Open the history of changes."""

    def board(self) -> None:
        """Return to the main screen, or to the walk that has led to a change."""

    def guide(self, ceiling: str = "", netns: int = 0) -> None:
        """Return to the open walk, or open the guide of a ceiling in a network namespace, by its inode; without
        both, open the list of guides."""

    def list_guides(self) -> None:
        """Open the list of guides."""

    def walk(self, guide: Guide, again: bool = False) -> None:
        """Open the walk of a guide where it was left; `again`: at its first step."""

    @property
    def guide_session(self) -> GuideSession:
        """The walks of this screen."""

    def guided(self, now: Assessment) -> Assessment:
        """Return the view of the network namespace that new walks are about."""

    def guide_place(self, view: Assessment) -> Place:
        """Return the source of the samples of a view, and what can be done from here."""

    @property
    def actor(self) -> Actor:
        """The user of this screen."""

    def prove(self, key: str) -> None:
        """Open the experiment that measures what `key` does."""


def app_context(widget: Widget) -> AppContext:
    """Return the app of a widget; this is the one place where it is cast."""
    return cast(AppContext, widget.app)
