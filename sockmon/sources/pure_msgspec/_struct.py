"""Struct classes: what msgspec makes of annotations, without its C."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple, get_type_hints


class MsgspecError(Exception):
    """The base of all errors."""


class DecodeError(MsgspecError):
    """Not a document."""


class ValidationError(DecodeError):
    """A document of another type."""


class UnsetType:
    """The type of UNSET, which a field has that is not written."""

    def __repr__(self) -> str:
        return "UNSET"

    def __bool__(self) -> bool:
        return False


UNSET = UnsetType()
_NONE_GIVEN: Any = UnsetType()


class Meta:
    """Bounds of an annotated type; others than these are errors."""

    def __init__(self, ge: float | None = None, le: float | None = None, max_length: int | None = None) -> None:
        self.ge = ge
        self.le = le
        self.max_length = max_length


class Field(NamedTuple):
    """A field of a Struct class."""

    name: str
    encode_name: str
    """Its name in a document."""
    default: Any
    """_NONE_GIVEN: it has to be given."""

    @property
    def required(self) -> bool:
        """Return whether it has no default."""
        return self.default is _NONE_GIVEN

    def value(self) -> Any:
        """Return its default; a list or a dict is a new one each time."""
        return type(self.default)() if isinstance(self.default, (list, dict, set)) else self.default


class _Declared(NamedTuple):
    default: Any
    name: str | None


def field(*, default: Any = _NONE_GIVEN, name: str | None = None) -> Any:
    """Return what a class declares of a field: a default, another name in documents."""
    return _Declared(default, name)


class StructMeta(type):
    """Makes a class with slots, `__init__`, `__eq__` and, if it is frozen, `__hash__`."""

    __fields__: tuple[Field, ...]
    __struct_fields__: tuple[str, ...]
    __tag__: tuple[str, str] | None
    """The field of a document that has the tag, and the tag."""
    __omit_defaults__: bool
    __forbid_unknown__: bool

    def __new__(
        mcls,
        name: str,
        bases: tuple[type, ...],
        body: dict[str, Any],
        *,
        frozen: bool = False,
        tag: str | None = None,
        tag_field: str = "type",
        omit_defaults: bool = False,
        forbid_unknown_fields: bool = False,
        gc: bool = True,
    ) -> Any:
        inherited = tuple(each for base in bases for each in getattr(base, "__fields__", ()))
        own = tuple(_field(each, body.pop(each, _NONE_GIVEN)) for each in body.get("__annotations__", {}))
        fields = inherited + own
        body |= {
            "__slots__": tuple(each.name for each in own),
            "__fields__": fields,
            "__struct_fields__": tuple(each.name for each in fields),
            "__match_args__": tuple(each.name for each in fields),
            "__tag__": (tag_field, tag) if tag is not None else None,
            "__omit_defaults__": omit_defaults,
            "__forbid_unknown__": forbid_unknown_fields,
        }
        if frozen:
            body["__setattr__"] = _frozen
        # A class that defines __eq__ has no hash; a frozen one has that of Struct.
        body.setdefault("__hash__", _hash if frozen else None)
        made = super().__new__(mcls, name, bases, body)
        if fields:
            made.__init__ = _initializer(made, fields)  # type: ignore[misc]
        return made

    def __init__(cls, name: str, bases: tuple[type, ...], body: dict[str, Any], **options: Any) -> None:
        super().__init__(name, bases, body)


def _field(name: str, declared: Any) -> Field:
    if isinstance(declared, _Declared):
        return Field(name, declared.name or name, declared.default)
    return Field(name, name, declared)


def _initializer(made: Any, fields: Iterable[Field]) -> Callable[..., None]:
    """Return `__init__`, written out as a function: a loop over the fields takes four times as long."""
    names: dict[str, Any] = {"_none": _NONE_GIVEN}
    arguments, lines = ["self"], []
    for each in fields:
        names[f"_set_{each.name}"] = getattr(made, each.name).__set__
        names[f"_field_{each.name}"] = each
        value = each.name
        if each.required:
            arguments.append(each.name)
        elif isinstance(each.default, (list, dict, set)):
            arguments.append(f"{each.name}=_none")
            value = f"_field_{each.name}.value() if {each.name} is _none else {each.name}"
        else:
            names[f"_default_{each.name}"] = each.default
            arguments.append(f"{each.name}=_default_{each.name}")
        lines.append(f"    _set_{each.name}(self, {value})")
    exec("\n".join([f"def __init__({', '.join(arguments)}):", *lines]), names)
    found: Callable[..., None] = names["__init__"]
    return found


def _frozen(self: Any, name: str, value: Any) -> None:
    raise AttributeError(f"immutable type: {type(self).__name__!r}")


def _hash(self: Any) -> int:
    return hash((type(self), *(getattr(self, name) for name in self.__struct_fields__)))


class Struct(metaclass=StructMeta):
    """The base of all Struct classes."""

    # ruff and mypy read an annotation, Python would make a field of it.
    if TYPE_CHECKING:
        __struct_fields__: tuple[str, ...]

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__struct_fields__)

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={getattr(self, name)!r}" for name in self.__struct_fields__)
        return f"{type(self).__name__}({values})"


def defstruct(name: str, fields: Iterable[tuple[Any, ...]], *, frozen: bool = False, module: str = "") -> Any:
    """Return a Struct class with fields of `(name, type)` or `(name, type, default)`."""
    rows = list(fields)
    body: dict[str, Any] = {"__annotations__": {row[0]: row[1] for row in rows}, "__module__": module}
    body |= {row[0]: row[2] for row in rows if len(row) > 2}
    return StructMeta(name, (Struct,), body, frozen=frozen)


@cache
def field_types(kind: Any) -> Mapping[str, Any]:
    """Return the types of the fields of a class by their names, or of a NamedTuple."""
    return get_type_hints(kind, include_extras=True)
