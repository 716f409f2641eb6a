"""
Frozen nouns that are built quickly.

The ``__init__`` of a frozen dataclass is Python, and sets each field through ``object.__setattr__``. What is
made for every packet, or for every word of a flow table, is a ``msgspec.Struct`` instead, which is filled in
C: in a fifth of the time. Nothing else changes: the nouns stay frozen, compare and print as before, and
``dataclasses`` takes them for its own (``fields``, ``replace``).
"""

from __future__ import annotations

from dataclasses import MISSING, Field, fields
from typing import Any, Final, TypeVar, cast

from msgspec import defstruct
from msgspec import field as struct_field

__all__ = ["quick"]

_T = TypeVar("_T")
#: What a dataclass writes for itself and a struct does better. Its comparisons are kept where some field
#: does not count in them.
_WRITTEN: Final = frozenset(
    {"__init__", "__setattr__", "__delattr__", "__getstate__", "__setstate__", "__repr__", "__match_args__"}
)
_COMPARED: Final = frozenset({"__eq__", "__hash__", "__lt__", "__le__", "__gt__", "__ge__"})
_OF_CLASSES: Final = frozenset({"__dict__", "__weakref__", "__slots__"})


def quick(cls: type[_T]) -> type[_T]:
    """
    Give back a dataclass, frozen and with slots, as one that is built quicker.

    :raises TypeError: if the class is not frozen, has another above it, or if there is more to do than to set
        fields.
    """
    own = fields(cast("Any", cls))
    _check(cls, own)
    plain = all(each.compare for each in own)
    left_out = _WRITTEN | _OF_CLASSES | {each.name for each in own} | (_COMPARED if plain else frozenset())
    namespace = {name: value for name, value in vars(cls).items() if name not in left_out}
    if not plain:
        namespace["__ne__"] = object.__ne__  # the opposite of __eq__; that of a struct counts every field
    parameters = cast("Any", cls).__dataclass_params__
    made = defstruct(
        cls.__name__,
        [(each.name, Any, _default(each)) for each in own],
        namespace=namespace,
        module=cls.__module__,
        frozen=True,
        eq=plain and parameters.eq,
        order=plain and parameters.order,
    )
    made.__qualname__ = cls.__qualname__
    return cast("type[_T]", made)


def _check(cls: type, own: tuple[Field[Any], ...]) -> None:
    if cls.__bases__ != (object,):
        raise TypeError(f"{cls.__name__} has a class above it")
    if not cast("Any", cls).__dataclass_params__.frozen:
        raise TypeError(f"{cls.__name__} is not frozen")
    for each in own:
        if not each.init or not each.repr or hasattr(cls, "__post_init__"):
            raise TypeError(f"{cls.__name__}.{each.name}")


def _default(one: Field[Any]) -> Any:
    if one.default_factory is not MISSING:
        return struct_field(default_factory=one.default_factory)
    return struct_field() if one.default is MISSING else struct_field(default=one.default)
