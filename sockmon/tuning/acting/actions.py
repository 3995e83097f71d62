"""Prepares an action, remembers what was shown, and carries that out once; each is noted in the history."""

from __future__ import annotations

import os
import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Literal

from msgspec.structs import replace

from sockmon.errors import SockmonError, TuningError
from sockmon.kernel.identity import boot_id
from sockmon.kernel.processes import proc_files
from sockmon.model.acting import (
    Action,
    ActionRecord,
    CarryOutAction,
    CloseSockets,
    DeleteFlows,
    PreparedAction,
    SignalProcess,
)
from sockmon.model.plan import Plan
from sockmon.model.transaction import Actor, State, Transaction
from sockmon.tuning.acting import flows, signals, sockets
from sockmon.tuning.acting.own_session import OwnSession
from sockmon.tuning.acting.prepared import Outcome, Prepared
from sockmon.tuning.transaction.history import new_id, note_action

EXPIRES = 300.0
"""Seconds after which what was shown has to be looked at again."""
NOT_SHOWN = "this is not what was shown last: look at it again"
_EXAMPLES = 3


class Actions:
    """The actions of one screen: one is prepared at a time, and can be carried out once."""

    def __init__(
        self,
        root: str,
        actor: Actor,
        ssh_connection: str = "",
        forbidden: str = "",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """`forbidden`: why no action is allowed, such as the config; empty if they are."""
        self._root = root
        self._actor = actor
        self._ssh_connection = ssh_connection
        self._forbidden = forbidden
        self._clock = clock
        self._prepared: Prepared | None = None
        self._prepared_at = 0.0

    def prepare(self, action: Action) -> PreparedAction:
        """Find what `action` would act on; raise SockmonError if there is nothing."""
        self._prepared = None
        self._require_allowed()
        with _open_proc() as proc:
            found = self._find(action, proc)
        if found.shown.refused:
            return found.shown
        token = secrets.token_hex(16)
        self._prepared = Prepared(replace(found.shown, token=token), found.target, found.netns, found.carry_out)
        self._prepared_at = self._clock()
        return self._prepared.shown

    def carry_out(self, request: CarryOutAction) -> Transaction:
        """Carry out what was prepared, if it is what the user has confirmed; raise SockmonError if not."""
        self._require_allowed()
        prepared, self._prepared = self._prepared, None
        if prepared is None or not secrets.compare_digest(prepared.shown.token.encode(), request.token.encode()):
            raise TuningError(NOT_SHOWN)
        if self._clock() - self._prepared_at > EXPIRES:
            raise TuningError("it was shown too long ago: look at it again")
        if (request.count, request.word) != (prepared.shown.count, prepared.shown.word):
            raise TuningError(NOT_SHOWN)
        begun = self._begin(prepared)
        outcome, failure = Outcome(), ""
        try:
            with _open_proc() as proc:
                outcome = prepared.carry_out(proc)
        except SockmonError as error:
            failure = error.message
        except OSError as error:
            failure = error.strerror or str(error)
        return self._end(begun, outcome, failure)

    def _require_allowed(self) -> None:
        if self._forbidden:
            raise TuningError(self._forbidden)

    def _find(self, action: Action, proc: int) -> Prepared:
        session = OwnSession(proc, self._ssh_connection)
        match action:
            case CloseSockets():
                return sockets.prepare(action, session, proc)
            case DeleteFlows():
                return flows.prepare(action, proc)
            case SignalProcess():
                return signals.prepare(action, session, proc)

    def _begin(self, prepared: Prepared) -> Transaction:
        """Note what is about to be done, so that the history has it also if this process is killed meanwhile."""
        begun, shown, action = time.time(), prepared.shown, prepared.shown.action
        record = ActionRecord(_kind(action), prepared.target, shown.count, 0, shown.rows[:_EXAMPLES])
        if isinstance(action, SignalProcess):
            record = replace(record, pid=action.pid, start=action.start)
        boot = ""
        with suppress(OSError):
            boot = boot_id()
        plan = Plan((), prepared.netns, boot)
        noted = Transaction(new_id(begun), plan, self._actor, begun, 0.0, 0.0, "applying", action=record)
        note_action(self._root, noted)
        return noted

    def _end(self, begun: Transaction, outcome: Outcome, failure: str) -> Transaction:
        assert begun.action is not None
        messages = (*((failure,) if failure else ()), *outcome.messages)
        state: State = "done" if outcome.done else "refused"
        record = replace(begun.action, done=outcome.done)
        return note_action(self._root, replace(begun, state=state, action=record, messages=messages))


def _kind(action: Action) -> Literal["close", "delete", "signal"]:
    match action:
        case CloseSockets():
            return "close"
        case DeleteFlows():
            return "delete"
        case SignalProcess():
            return "signal"


@contextmanager
def _open_proc() -> Iterator[int]:
    """Open /proc; raise ReadError."""
    proc = proc_files.open_proc()
    try:
        yield proc
    finally:
        os.close(proc)
