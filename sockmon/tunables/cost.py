"""What a value may cost: the memory that the kernel takes when it is used to the full."""

from __future__ import annotations

from collections.abc import Callable, Sequence


def each(size: int) -> Callable[[Sequence[int], int], int]:
    """`size` bytes for each of what is counted, as measured in the kernel's slabs."""
    return lambda numbers, page: numbers[-1] * size


def pages(numbers: Sequence[int], page: int) -> int:
    """The last of the numbers is a limit in pages."""
    return numbers[-1] * page
