"""What a value costs: the memory that the kernel takes at most, when the limit is used to the full."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sockmon.tunables.tunable import Tunable

_KINDS_WITHOUT_MEMORY = ("range", "ports", "switch", "limit", "cgroup limit")
_UNITS_WITHOUT_MEMORY = ("port", "seconds", "milliseconds", "retries", "probes")


def takes_memory(row: Tunable) -> bool:
    """Return whether a higher value can take more memory by itself."""
    return row.kind not in _KINDS_WITHOUT_MEMORY and row.unit not in _UNITS_WITHOUT_MEMORY


def per_item(size: int) -> Callable[[Sequence[int], int], int]:
    """Return the cost of a limit whose items take `size` bytes each, as measured in the kernel's slabs."""
    return lambda numbers, page: numbers[-1] * size


def in_pages(numbers: Sequence[int], page: int) -> int:
    """Return the cost of a limit whose last number is in pages."""
    return numbers[-1] * page
