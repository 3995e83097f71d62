"""The lines of a stream that could not be read: counted, and reported in one sentence."""

from __future__ import annotations

from typing import NamedTuple


class Damage(NamedTuple):
    """Lines of a recording or of an agent's stream that could not be used so far."""

    lines: int = 0
    """All lines up to now, the damaged ones included."""
    damaged: int = 0
    """Lines that are not part of a sockmon stream, an incomplete last line excepted."""
    first: int = 0
    """Number of the first damaged line, from 1."""
    reason: str = ""
    """What is wrong with that line; clean text."""
    incomplete: bool = False
    """True: the last line has no newline, because it is still being written or its writer was killed."""

    def plus(self, number: int, reason: str) -> Damage:
        """Return the sum with the damaged line `number`."""
        if self.damaged:
            return self._replace(lines=number, damaged=self.damaged + 1)
        return Damage(number, 1, number, reason)

    def text(self) -> str:
        """Return a sentence such as `3 of 120 lines are damaged: first at line 17: expected int, got str`; empty
        without damage."""
        tail = f"line {self.lines} is incomplete: still being written, or cut off" if self.incomplete else ""
        if not self.damaged:
            return tail
        if self.damaged == 1:
            head = f"1 of {self.lines:,} lines is damaged: line {self.first:,}: {self.reason}"
        else:
            head = f"{self.damaged:,} of {self.lines:,} lines are damaged: "
            head += f"first at line {self.first:,}: {self.reason}"
        return f"{head}; {tail}" if tail else head
