"""Walks through a guide: by the evidence alone, or with a person at a terminal."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from sockmon.cli.guide_change import carry_out, is_pending, propose, settle
from sockmon.cli.guide_progress import KeptProgress
from sockmon.cli.guide_samples import Samples
from sockmon.cli.guide_text import (
    EXAMPLES_KEY,
    Choice,
    choices,
    head_lines,
    key_lines,
    other_examples,
    state_lines,
    step_lines,
    where_examples_are,
)
from sockmon.cli.text_page import wrap
from sockmon.document import sentence
from sockmon.errors import PlanRejected, TuningError
from sockmon.guides.guide import Act
from sockmon.guides.walk import Walk
from sockmon.model.transaction import STATE_LABELS

_KEYBOARD = 0
PERSIST = "persist"
"""A word: a letter that means something else at a step is not enough for a file below /etc."""


class EvidenceWalk:
    """Follows the evidence to the end. With `apply` it also makes the proposed change, keeps it if it is verified,
    and rolls it back if not; without, it ends with the command."""

    def __init__(self, walk: Walk, samples: Samples, apply: bool, width: int, quiet: bool = False) -> None:
        self._walk, self._samples, self._apply = walk, samples, apply
        self._width, self._quiet = width, quiet

    def run(self) -> None:
        """Walk to the end, and print each step when it is decided."""
        walk = self._walk
        self._print(head_lines(walk.guide, walk.progress.number, self._width))
        while walk.outcome is None:
            if isinstance(walk.step, Act):
                self._print([*step_lines(walk, self._width), *where_examples_are(walk, self._width)])
                self._act(walk.step)
            elif (exit_ := walk.suggested) is not None:
                self._print(step_lines(walk, self._width))
                walk.take(exit_.to)
            elif (now := self._samples.poll()) is not None:
                walk.add(now)
        if is_pending(walk):
            settle(walk, "keep" if walk.outcome == "verified" else "revert")
        self._print(step_lines(walk, self._width))

    def _act(self, step: Act) -> None:
        """Make the change if that is wanted and possible, and leave the step."""
        walk = self._walk
        if not (self._apply and walk.wanted and walk.suggested is None):
            walk.take(walk.suggested.to if walk.suggested else step.declined)
            return
        try:
            walk.changed(carry_out(walk, propose(walk), confirmed=True))
        except PlanRejected as error:
            self._print([f"   Not possible here: {sentence(error.message)}"])
            walk.refused(error.message)
            return
        self._samples.refresh()
        walk.take(walk.suggested.to if walk.suggested else step.declined)

    def _print(self, lines: Sequence[str]) -> None:
        if not self._quiet:
            click.echo("\n".join(lines))


class TerminalWalk:
    """Walks with a person, who takes the suggested exit with Enter or another one with a letter."""

    def __init__(self, walk: Walk, samples: Samples, width: int, kept: KeptProgress | None = None) -> None:
        """`kept` takes the progress after each step; None: it is not kept."""
        self._walk, self._samples, self._width, self._kept = walk, samples, width, kept

    def run(self) -> None:
        """Walk until the end, or until the person quits."""
        walk = self._walk
        self._print(head_lines(walk.guide, walk.progress.number, self._width))
        while walk.outcome is None:
            self._save()
            self._print(step_lines(walk, self._width))
            if not self._leave_step():
                break
        else:
            self._print(step_lines(walk, self._width))
        self._settle()
        self._save()

    def _save(self) -> None:
        if self._kept:
            self._kept.save(self._walk)

    def _leave_step(self) -> bool:
        """Stay at a step until the person goes on; return False to quit."""
        walk = self._walk
        while True:
            self._prompt(key_lines(walk, self._width))
            key = self._next_key()
            if key is None or key == "q":
                return False
            if key == "p" and walk.back():
                return True
            if key == EXAMPLES_KEY:
                self._print(other_examples(walk, self._width))
                continue
            chosen = self._chosen(key)
            if chosen and chosen.exit:
                walk.take(chosen.exit.to)
            if chosen and (chosen.exit or self._act()):
                return True
            wait = ", or wait" if (walk.finding and walk.finding.wait > 0) or walk.check else ""
            self._print([f"   This key does nothing here: choose one of these{wait}."])

    def _chosen(self, key: str) -> Choice | None:
        """Return the choice of a letter; for Enter the suggested one."""
        found = choices(self._walk)
        return found.get(key) if key else next((each for each in found.values() if each.suggested), None)

    def _next_key(self) -> str | None:
        """Return the next line that is typed; meanwhile print what changes. None if the input has ended."""
        walk = self._walk
        shown = self._state()
        while True:
            now = self._samples.poll(_KEYBOARD)
            if now is None:
                typed = os.read(_KEYBOARD, 4096)
                return typed.decode(errors="replace").strip().lower() if typed else None
            walk.add(now)
            if self._state() != shown:
                shown = self._state()
                self._print(["", *state_lines(walk, self._width)])
                self._prompt(key_lines(walk, self._width))

    def _state(self) -> tuple[object, object]:
        """Return what is worth a line when it changes; numbers that only move are not."""
        walk = self._walk
        return walk.finding.verdict if walk.finding else None, walk.check.state if walk.check else None

    def _act(self) -> bool:
        """Preview and make the change; return whether the walk goes on."""
        walk = self._walk
        try:
            done = carry_out(walk, propose(walk), confirmed=False)
        except PlanRejected as error:
            self._print(wrap(f"   Not possible here: {sentence(error.message)}", self._width, 5))
            walk.refused(error.message)
            return True
        except TuningError as error:
            self._print([f"   {error.message}"])
            return True
        state = STATE_LABELS[done.state]
        self._print([f"   {done.id} {state}", *(f"   {message}" for message in done.messages)])
        if done.state == "holding":
            self._print([f"   It is rolled back in {done.hold:.0f} s unless you keep it."])
        walk.changed(done)
        self._samples.refresh()
        if walk.suggested:
            walk.take(walk.suggested.to)
        return True

    def _settle(self) -> None:
        """Let the person decide about the pending change."""
        if not is_pending(self._walk):
            return
        self._prompt(
            [
                "The change is pending:",
                "   k       keep it",
                f"   {PERSIST} keep it, and write it to /etc/sysctl.d",
                "   u       roll it back now",
                "   Enter   leave it pending; it is rolled back at the end of its time",
            ]
        )
        key = self._next_key()
        if key in ("k", PERSIST):
            settle(self._walk, "keep", persist=key == PERSIST)
        elif key == "u":
            settle(self._walk, "revert")
        for change in self._walk.progress.changes:
            self._print([f"{change.id} {STATE_LABELS[change.state]}"])

    def _prompt(self, lines: Sequence[str]) -> None:
        click.echo("\n".join([*lines, "> "]), nl=False)

    def _print(self, lines: Sequence[str]) -> None:
        click.echo("\n".join(lines))
