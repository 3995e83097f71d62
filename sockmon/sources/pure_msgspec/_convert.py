"""Objects ↔ what JSON has: msgspec.to_builtins and msgspec.convert."""

from __future__ import annotations

import math
import types
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from ._struct import UNSET, Meta, Struct, ValidationError, field_types

_PLAIN = (str, int, bool, type(None))


def to_builtins(value: Any) -> Any:
    """Return a value as dicts, lists, strings and numbers; NaN and infinity are None."""
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is float:
        return value if math.isfinite(value) else None
    if isinstance(value, Struct):
        return _as_dict(value)
    if isinstance(value, (tuple, list, set, frozenset)):
        return [to_builtins(each) for each in value]
    if isinstance(value, Mapping):
        return {key: to_builtins(each) for key, each in value.items()}
    raise TypeError(f"encoding objects of type {kind.__name__} is unsupported")


def _as_dict(value: Any) -> dict[str, Any]:
    kind = type(value)
    found: dict[str, Any] = {}
    if kind.__tag__ is not None:
        found[kind.__tag__[0]] = kind.__tag__[1]
    for each in kind.__fields__:
        item = getattr(value, each.name)
        omitted = kind.__omit_defaults__ and type(item) is type(each.default) and item == each.default
        if item is not UNSET and not omitted:
            found[each.encode_name] = to_builtins(item)
    return found


def convert(value: Any, type: Any) -> Any:
    """Return what JSON has as `type`; raise ValidationError if it is something else."""
    origin, arguments = get_origin(type), get_args(type)
    if type is Any:
        return value
    if origin is Annotated:
        return _within(convert(value, arguments[0]), arguments[1:])
    if origin in (Union, types.UnionType):
        return _one_of(value, arguments)
    if origin is Literal:
        return value if value in arguments else _wrong(value, type)
    if origin is not None:
        return _container(value, origin, arguments)
    if isinstance(type, _CLASS) and issubclass(type, Struct):
        return _struct(value, type)
    if isinstance(type, _CLASS) and issubclass(type, tuple) and type is not tuple:
        return _named_tuple(value, type)
    return _scalar(value, type)


_CLASS = type


def _scalar(value: Any, kind: Any) -> Any:
    if kind is None or kind is type(None):
        return value if value is None else _wrong(value, kind)
    if kind is float and type(value) is int:
        return float(value)
    # True is an int of Python, not of JSON.
    return value if type(value) is kind else _wrong(value, kind)


def _container(value: Any, origin: Any, arguments: tuple[Any, ...]) -> Any:
    if issubclass(origin, Mapping):
        if not isinstance(value, dict):
            return _wrong(value, origin)
        key, item = arguments
        return {_key(each, key): convert(inner, item) for each, inner in value.items()}
    if not isinstance(value, list):
        return _wrong(value, origin)
    if issubclass(origin, tuple):
        if len(arguments) == 2 and arguments[1] is ...:
            return tuple(convert(each, arguments[0]) for each in value)
        if len(value) != len(arguments):
            return _wrong(value, origin)
        return tuple(convert(each, kind) for each, kind in zip(value, arguments))  # noqa: B905
    if issubclass(origin, Sequence):
        return [convert(each, arguments[0]) for each in value]
    return _wrong(value, origin)


def _key(text: str, kind: Any) -> Any:
    if kind is not int:
        return convert(text, kind)
    try:
        return int(text)
    except ValueError:
        return _wrong(text, kind)


def _one_of(value: Any, kinds: tuple[Any, ...]) -> Any:
    for kind in kinds:
        try:
            return convert(value, kind)
        except ValidationError:
            continue
    return _wrong(value, kinds)


def _struct(value: Any, kind: Any) -> Any:
    if not isinstance(value, dict):
        return _wrong(value, kind)
    if kind.__tag__ is not None and value.get(kind.__tag__[0]) != kind.__tag__[1]:
        return _wrong(value.get(kind.__tag__[0]), kind)
    types, found, known = field_types(kind), {}, set()
    for each in kind.__fields__:
        known.add(each.encode_name)
        if each.encode_name in value:
            found[each.name] = convert(value[each.encode_name], types[each.name])
        elif each.required:
            raise ValidationError(f"Object missing required field `{each.encode_name}`")
    if kind.__forbid_unknown__ and (more := set(value) - known - {(kind.__tag__ or ("",))[0]}):
        raise ValidationError(f"Object contains unknown field `{min(more)}`")
    return kind(**found)


def _named_tuple(value: Any, kind: Any) -> Any:
    if not isinstance(value, list) or len(value) > len(kind._fields):
        return _wrong(value, kind)
    types = field_types(kind)
    pairs = zip(kind._fields, value)  # noqa: B905
    try:
        return kind(**{name: convert(each, types[name]) for name, each in pairs})
    except TypeError:
        return _wrong(value, kind)


def _within(value: Any, bounds: tuple[Any, ...]) -> Any:
    for each in bounds:
        if isinstance(each, Meta):
            small = each.ge is not None and value < each.ge
            large = each.le is not None and value > each.le
            if small or large or (each.max_length is not None and len(value) > each.max_length):
                raise ValidationError(f"Expected {each.__dict__}, got {value!r}"[:200])
    return value


def _wrong(value: Any, kind: Any) -> Any:
    name = getattr(kind, "__name__", str(kind))
    raise ValidationError(f"Expected `{name}`, got `{type(value).__name__}`")
