"""The guard, the one writer: locks, journals, writes, reads back, holds, and rolls back unless the change is kept.

    sockmon-helper, or `sockmon tune apply`
      │ starts both before the change, and sends the plan
      v
    sockmon-watch            waits for the guard; if it is killed, recovers from the journal
      │ forks
      v
    sockmon-guard            this class
      ├─ run/sockmon/lock          one change at a time on a host
      ├─ run/sockmon/txn/ID.wal    the journal: a record is on it before the step that it announces
      ├─ /proc/sys, prlimit(2)     the targets, all open before the first write: a rollback needs no new descriptor
      └─ run/sockmon/guard.sock    keep, revert, extend and status, from any login (control_socket.py)

Each process leads a session of its own, so the guard outlives the screen, the helper and the terminal. The plan is
checked again (plan_checks.py), because the process that made it has less privilege. model/transaction.py draws
the states. The commit point is `Guard.keep`."""

from __future__ import annotations

import os
import socket
import time

from sockmon.errors import TuningError
from sockmon.model.outcome import Outcome
from sockmon.model.plan import MAX_REASONS, Plan, Setting
from sockmon.model.transaction import Actor, State, Transaction
from sockmon.tunables.lasting_in_netns import not_persisted_message
from sockmon.tuning.transaction import history, lock
from sockmon.tuning.transaction.foreign_writes import ForeignWrites
from sockmon.tuning.transaction.guard_listener import close_listener, open_listener
from sockmon.tuning.transaction.journal import Applied, Begin, Extend, Journal, Observed, Write, Wrote
from sockmon.tuning.transaction.plan_checks import validate_hold, validate_plan
from sockmon.tuning.transaction.plan_netns import inside
from sockmon.tuning.transaction.recovery import recover_locked
from sockmon.tuning.transaction.rollback import close_targets, rollback
from sockmon.tuning.transaction.state_dirs import StateDirs
from sockmon.tuning.transaction.targets import Target, open_or_explain, require_unchanged

_MAX_OBSERVATIONS = 200
"""Observations of one change that are journaled; later ones are ignored."""
_MAX_SINGLE_WRITE = 4000
"""The kernel takes a longer list of ports in several writes, and between them a part of the list is missing."""


class Guard:
    """One transaction from its plan to its end: `apply`, then `keep` or `revert`."""

    def __init__(self, plan: Plan, actor: Actor, hold: float, root: str = "/") -> None:
        self._plan = plan
        self._hold = hold
        self._root = root
        self._dirs: StateDirs | None = None
        self._lock = -1
        self._journal: Journal | None = None
        self._targets: dict[int, Target] = {}
        self._foreign = ForeignWrites(plan, self._targets)
        self._observations = 0
        self.messages: list[str] = []
        begun = time.time()
        actor = history.sanitize_actor(actor)
        self._begin_record = Begin(history.new_id(begun), plan, actor, begun, hold, _boottime() + hold)
        self.listener: socket.socket | None = None

    def apply(self) -> Transaction:
        """Write the plan's values; return the transaction, `holding` if all of them are written and read back,
        and `kept` if the plan only removes lines from our file.

        `refused`: nothing was touched. Any other state: a write failed, and the plan was rolled back."""
        try:
            self._prepare()
        except TuningError as error:
            return self._refuse(error.message + (f"; {error.hint}" if error.hint else ""))
        except OSError as error:
            return self._refuse(error.strerror or str(error))
        if self._plan.forgets:
            return self._forget()
        try:
            for n, setting in enumerate(self._plan.settings):
                self._write_setting(n, setting)
            self._open_journal.append(Applied())
        except (TuningError, OSError) as error:
            self.messages.append(str(error) if isinstance(error, TuningError) else error.strerror or str(error))
            return self.revert()
        return self.status()

    def _forget(self) -> Transaction:
        """Remove the lines of the plan from our file. There is nothing to hold: no value changes."""
        try:
            return self.keep()
        except TuningError as error:
            self.messages.append(error.message)
            return self.revert()

    @property
    def deadline(self) -> float:
        """CLOCK_BOOTTIME, seconds: the time that a machine sleeps counts."""
        return self._journal.state.deadline if self._journal else self._begin_record.deadline

    @property
    def expired(self) -> bool:
        """Whether the deadline has passed."""
        return _boottime() >= self.deadline

    @property
    def _open_journal(self) -> Journal:
        assert self._journal is not None
        return self._journal

    def _prepare(self) -> None:
        """Do all that can fail before anything is touched, the harmless steps first."""
        self._dirs = StateDirs(self._root)
        validate_hold(self._hold)
        validate_plan(self._plan)
        locked = lock.acquire(self._dirs)
        if locked is None:
            raise TuningError(lock.pending_message(self._dirs))
        self._lock = locked
        begin = self._begin_record
        lock.write_owner(locked, lock.LockOwner(begin.id, begin.actor, os.getpid(), begin.deadline))
        for other in recover_locked(self._dirs):
            self.messages += other.messages if other.state == "applying" else ()
        with inside(self._plan):
            for n, setting in enumerate(self._plan.settings):
                self._targets[n] = open_or_explain(setting)
        for n, setting in enumerate(self._plan.settings):
            require_unchanged(self._targets[n], setting, self._plan.undoes)
        self.listener = open_listener(self._dirs)
        self._journal = Journal(f"{begin.id}.wal", self._dirs.txn, new=True)
        self._journal.append(begin)
        for n, setting in enumerate(self._plan.settings):
            self._test_write_back(n, setting)

    def _test_write_back(self, n: int, setting: Setting) -> None:
        """Write the present value: the kernel rejects some values that it reports."""
        if len(setting.old) > _MAX_SINGLE_WRITE:
            return
        try:
            self._targets[n].write(setting.old)
        except OSError as error:
            message = f"{setting.name}: its present value cannot be written back: {error.strerror}"
            raise TuningError(message) from error
        require_unchanged(self._targets[n], setting, self._plan.undoes)

    def _refuse(self, why: str) -> Transaction:
        self.messages.append(why)
        refused = self._transaction("refused")
        if self._dirs is not None:
            if self._journal is not None:
                self._journal.remove()
            refused = history.with_message(refused, history.audit(self._dirs, refused))
        self._release()
        return refused

    def _write_setting(self, n: int, setting: Setting) -> None:
        target = self._targets[n]
        self._open_journal.append(Write(n, setting.key))
        new = setting.new or "an empty value"
        try:
            target.write(setting.new)
        except OSError as error:
            raise TuningError(f"{setting.name}: the kernel rejected {new}: {error.strerror}") from error
        found = target.read()
        self._open_journal.append(Wrote(n, found))
        if target.equal(found, setting.new):
            return
        # A single number may be rounded to one that the kernel supports; any other difference is a failure.
        if target.equal(found, setting.old) or not (found.isdigit() and setting.new.isdigit()):
            raise TuningError(f"{setting.name}: wrote {new}, but the kernel reports {found or 'an empty value'}")
        self.messages.append(f"{setting.name}: wrote {new}, which the kernel rounded to {found}")

    def note_foreign_writes(self) -> None:
        """Add a message for each value that another process has changed since: a rollback leaves it alone."""
        self.messages += self._foreign.look_for(self._open_journal.state.readback)

    @property
    def has_ended(self) -> bool:
        """Whether nothing that the plan has changed exists any more."""
        return self._foreign.all_ended

    def status(self) -> Transaction:
        """Return the pending transaction."""
        return self._transaction("holding")

    def extend(self, seconds: float) -> Transaction:
        """Hold for `seconds` from now; raise TuningError if that is out of range or cannot be journaled."""
        validate_hold(seconds)
        try:
            self._open_journal.append(Extend(_boottime() + seconds))
        except OSError as error:
            raise TuningError(f"the journal cannot be written: {error.strerror}") from error
        return self.status()

    def observe(self, outcomes: tuple[Outcome, ...]) -> Transaction:
        """Journal what has become of the reasons of the plan, for the history; a full disk loses it, and no more.

        Raise TuningError if they are not those of the plan."""
        keys = {(reason.ceiling, reason.subject) for reason in self._plan.reasons}
        if not {(each.ceiling, each.subject) for each in outcomes} <= keys or len(outcomes) > MAX_REASONS:
            raise TuningError("these are not the reasons of the pending change")
        if outcomes != self._open_journal.state.outcomes and self._observations < _MAX_OBSERVATIONS:
            self._observations += 1
            self._open_journal.try_append(Observed(outcomes))
        return self.status()

    def keep(self, persist: bool = False) -> Transaction:
        """Commit: journal KEEP, then end the transaction; if that cannot be journaled, raise TuningError and hold
        on."""
        if persist and self._plan.target is not None:
            raise TuningError(not_persisted_message(self._plan))
        self.note_foreign_writes()
        if not self._open_journal.keep(persist, self._foreign.values):
            raise TuningError("the change cannot be kept: the journal cannot be written", "it will be rolled back")
        return self._end("kept")

    def revert(self) -> Transaction:
        """Roll back every value that no other process has changed since."""
        state, messages = rollback(self._open_journal, self._targets, {})
        self.messages[:] = dict.fromkeys((*self.messages, *messages))
        return self._end(state)

    def _end(self, state: State) -> Transaction:
        assert self._dirs is not None
        ended = history.close_transaction(self._dirs, self._open_journal, state, self.messages)
        self._release()
        return ended

    def _transaction(self, state: State) -> Transaction:
        begin, messages = self._begin_record, tuple(self.messages)
        outcomes = self._journal.state.outcomes if self._journal else ()
        done = (begin.id, self._plan, begin.actor, begin.begun, self._hold, self.deadline, state)
        return Transaction(*done, messages=messages, outcomes=outcomes)

    def _release(self) -> None:
        """Close everything, the lock last."""
        close_targets(self._targets)
        if self._journal is not None:
            self._journal.close()
        if self.listener is not None and self._dirs is not None:
            close_listener(self.listener, self._dirs)
        if self._lock >= 0:
            os.close(self._lock)
        if self._dirs is not None:
            self._dirs.close()


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
