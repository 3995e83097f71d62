"""What a rule of nftables has in its registers: constants, fields of the packet, and results of a map.

A rule is a list of expressions that load, compare and change registers. There are 16 of four bytes; NFT_REG_1 to
NFT_REG_4 name four of them each (include/uapi/linux/netfilter/nf_tables.h, enum nft_registers)."""

from __future__ import annotations

from typing import NamedTuple

_FIRST_WIDE, _LAST_WIDE, _FIRST_NARROW = 1, 4, 8
WORD = 4


class Constant(NamedTuple):
    """Bytes that the rule itself has loaded."""

    value: bytes


class Field(NamedTuple):
    """A field of the packet: `ip saddr`, `l4proto`, and the mask that was applied to it."""

    name: str
    mask: bytes | None = None


class Looked(NamedTuple):
    """The data of an element of a map: which element is known only for a packet."""

    map: str
    at: int
    """Offset in the data of each element."""


Content = Constant | Field | Looked | None
"""None: not known."""


class Registers:
    """The content of each register while a rule is followed."""

    def __init__(self) -> None:
        self._content: dict[int, Content] = {}

    def load(self, register: int, content: Content, size: int) -> None:
        """Take what an expression writes to `register`, in `size` bytes."""
        first = _word(register)
        for word in range(-(-size // WORD)):
            if isinstance(content, Constant):
                self._content[first + word] = Constant(content.value[WORD * word :])
            elif isinstance(content, Looked):
                self._content[first + word] = Looked(content.map, content.at + WORD * word)
            else:
                self._content[first + word] = content if word == 0 else None

    def get(self, register: int) -> Content:
        """Return the content from `register` on."""
        return self._content.get(_word(register))


def _word(register: int) -> int:
    """Return the number of the first word of a register."""
    if _FIRST_WIDE <= register <= _LAST_WIDE:
        return (register - _FIRST_WIDE) * 4
    return register - _FIRST_NARROW
