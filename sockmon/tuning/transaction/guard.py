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
checked again here, because the process that made it has less privilege than this one. model/transaction.py draws
the states. The commit point is `Guard.keep`."""

from __future__ import annotations

import os
import socket
import time
from contextlib import suppress

from sockmon.errors import TuningError
from sockmon.kernel.identity import boot_id, netns_inode
from sockmon.model.outcome import Outcome
from sockmon.model.plan import Plan, Setting
from sockmon.model.transaction import Actor, ForeignValue, State, Transaction
from sockmon.tunables.lasting_in_netns import not_persisted_message
from sockmon.tuning.transaction import history, lock
from sockmon.tuning.transaction.confinement import host_only_reason
from sockmon.tuning.transaction.journal import Applied, Begin, Extend, Journal, Observed, Write, Wrote
from sockmon.tuning.transaction.plan_netns import ended_message, inside, validate_target
from sockmon.tuning.transaction.recovery import recover_locked
from sockmon.tuning.transaction.rollback import close_targets, rollback
from sockmon.tuning.transaction.state_dirs import SOCKET_NAME, StateDirs
from sockmon.tuning.transaction.targets import (
    Target,
    open_or_explain,
    require_reversible,
    require_unchanged,
    validate_forgets,
    validate_setting,
)

MAX_HOLD_SECONDS = 3600.0
MAX_SETTINGS = 64
MAX_REASONS = 8
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
        self._foreign_values: dict[int, str | None] = {}
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
        self._validate_plan()
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
        self.listener = _listen(self._dirs)
        self._journal = Journal(f"{begin.id}.wal", self._dirs.txn, new=True)
        self._journal.append(begin)
        for n, setting in enumerate(self._plan.settings):
            self._test_write_back(n, setting)

    def _validate_plan(self) -> None:
        plan = self._plan
        _validate_hold(self._hold)
        if plan.forgets:
            validate_forgets(plan)
        elif not 0 < len(plan.settings) <= MAX_SETTINGS:
            raise TuningError(f"the plan has {len(plan.settings)} settings; 1 to {MAX_SETTINGS} are allowed")
        if len(plan.reasons) > MAX_REASONS:
            raise TuningError(f"the plan has {len(plan.reasons)} reasons; at most {MAX_REASONS} are allowed")
        if len({setting.name for setting in plan.settings}) < len(plan.settings):
            raise TuningError("the plan sets the same key twice")
        for setting in plan.settings:
            validate_setting(setting)
            require_reversible(setting)
            why = "" if setting.pid else host_only_reason(setting.key)
            if why:
                raise TuningError(f"{setting.name}: {why}")
        if plan.boot_id != boot_id():
            raise TuningError("the plan was made before the last reboot", "plan it again")
        if plan.target is not None:
            validate_target(plan)
        elif plan.netns != netns_inode():
            raise TuningError(
                f"the plan is for network namespace net:[{plan.netns}], but this is net:[{netns_inode()}]"
            )

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
        for n, setting in enumerate(self._plan.settings):
            with suppress(OSError):
                self._note_foreign_write(n, setting)

    def _note_foreign_write(self, n: int, setting: Setting) -> None:
        found: str | None = None
        with suppress(FileNotFoundError):
            found = self._targets[n].read()
        if found is not None and self._targets[n].equal(found, self._readback(n)):
            self._foreign_values.pop(n, None)
        elif n not in self._foreign_values or self._foreign_values[n] != found:
            self._foreign_values[n] = found
            if found is None and self._plan.target is not None:
                # One sentence about the namespace takes the place of one about each of its keys.
                self._note(ended_message(self._plan.target))
                return
            changed = f"another process changed it to {found or 'an empty value'}"
            self.messages.append(f"{setting.name}: {'it does not exist any more' if found is None else changed}")

    def _note(self, message: str) -> None:
        self.messages[:] = dict.fromkeys((*self.messages, message))

    def _readback(self, n: int) -> str:
        return self._open_journal.state.readback.get(n, self._plan.settings[n].new)

    @property
    def has_ended(self) -> bool:
        """Whether nothing that the plan has changed exists any more."""
        return bool(self._foreign_values) and all(
            self._foreign_values.get(n, "") is None for n in range(len(self._plan.settings))
        )

    def status(self) -> Transaction:
        """Return the pending transaction."""
        return self._transaction("holding")

    def extend(self, seconds: float) -> Transaction:
        """Hold for `seconds` from now; raise TuningError if that is out of range or cannot be journaled."""
        _validate_hold(seconds)
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
        not_kept = (ForeignValue(self._plan.settings[n].name, now) for n, now in self._foreign_values.items())
        if not self._open_journal.keep(persist, tuple(not_kept)):
            raise TuningError("the change cannot be kept: the journal cannot be written", "it will be rolled back")
        return self._end("kept")

    def revert(self) -> Transaction:
        """Roll back every value that no other process has changed since."""
        state, messages = rollback(self._open_journal, self._targets, {})
        for message in messages:
            self._note(message)
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
        if self.listener is not None:
            self.listener.close()
            with suppress(OSError):
                os.unlink(SOCKET_NAME, dir_fd=self._dirs.run if self._dirs else -1)
        if self._lock >= 0:
            os.close(self._lock)
        if self._dirs is not None:
            self._dirs.close()


def _validate_hold(seconds: float) -> None:
    if not 0 < seconds <= MAX_HOLD_SECONDS:
        raise TuningError(
            f"the hold time is {seconds:g} s; more than 0 and at most {MAX_HOLD_SECONDS:,.0f} s are allowed"
        )


def _listen(dirs: StateDirs) -> socket.socket:
    with suppress(FileNotFoundError):
        os.unlink(SOCKET_NAME, dir_fd=dirs.run)
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK)
    try:
        listener.bind(dirs.socket_address())
        os.chmod(SOCKET_NAME, 0o600, dir_fd=dirs.run)
        listener.listen(8)
    except BaseException:
        listener.close()
        raise
    return listener


def _boottime() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)
