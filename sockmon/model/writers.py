"""The programs that write a sysctl while the machine runs, whatever the files of sysctl.d have."""

from __future__ import annotations

from typing import Literal

import msgspec

Action = Literal["sets", "raises", "lowers", "adds"]
"""`raises` and `lowers` leave a value alone that is higher or lower already; `adds` adds ports to a list."""


class Writer(msgspec.Struct, frozen=True):
    """A program that writes a key again while the machine runs."""

    name: str
    action: Action
    value: str | None
    """What it writes; None if that cannot be read from here."""
    when: str
    """A clause: `when it starts`, `every 10 s`."""
    setting: str
    """What decides its value: `FILE:LINE`, or a directive and its file, or a flag."""
    certain: bool = True
    """Whether it writes the key with any configuration that this machine may have; else it may."""
    runs: bool = True
    """Whether it runs here, or is enabled for each boot."""
    files_win: bool = False
    """Whether it applies /etc/sysctl.d again over its own value: then a line of ours holds against it."""
    instead_of: str = ""
    """The value that its own setting has, and where, if another source of its own overrides that."""

    def leaves(self, value: str) -> bool:
        """Return whether `value` stays when it has written; False if that is not known."""
        if self.value is None:
            return False
        if self.value.split() == value.split():
            return True
        if self.action == "adds":
            return self.value in value.split(",")
        numbers = (self.value, value)
        if self.action == "sets" or not all(number.isdecimal() for number in numbers):
            return False
        own, now = map(int, numbers)
        return now >= own if self.action == "raises" else now <= own


def sentence_of(writer: Writer) -> str:
    """Return when it writes what, and what decides that: one line at 80 columns, in most cases."""
    when = writer.when if writer.runs else "once it runs"
    may = "" if writer.certain and writer.runs else "may " if writer.runs else "will "
    verb = f"{may}{writer.action.removesuffix('s') if may else writer.action}"
    what = {
        "sets": "it" if writer.value is None else writer.value or "(empty)",
        "adds": "ports" if writer.value is None else writer.value,
    }.get(writer.action, "it" if writer.value is None else f"it to {writer.value}")
    setting = f" ({writer.setting})" if writer.setting else ""
    instead = f", not {writer.instead_of}" if writer.instead_of else ""
    only = {"raises": " if it is lower", "lowers": " if it is higher"}.get(writer.action, "")
    return f"{when}, {writer.name} {verb} {what}{only}{setting}{instead}"
