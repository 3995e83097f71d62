"""Structs as values, as msgspec.structs."""

from __future__ import annotations

from typing import Any, TypeVar

from ._struct import Field, field_types

T = TypeVar("T")


class FieldInfo:
    """A field of a Struct class."""

    def __init__(self, field: Field, kind: Any) -> None:
        self.name = field.name
        self.encode_name = field.encode_name
        self.type = kind


def replace(struct: T, /, **changes: Any) -> T:
    """Return a copy with other values in some fields."""
    if not changes:
        return struct
    kept = {name: getattr(struct, name) for name in type(struct).__struct_fields__ if name not in changes}  # type: ignore[attr-defined]
    return type(struct)(**kept, **changes)


def asdict(struct: Any) -> dict[str, Any]:
    """Return the values by the names of the fields."""
    return {name: getattr(struct, name) for name in struct.__struct_fields__}


def fields(kind: Any) -> tuple[FieldInfo, ...]:
    """Return the fields of a Struct class."""
    types = field_types(kind)
    return tuple(FieldInfo(each, types[each.name]) for each in kind.__fields__)
