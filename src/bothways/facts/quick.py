"""
Frozen nouns that are built quickly.

The ``__init__`` of a frozen dataclass sets each field through ``object.__setattr__``, which looks the name up
each time. What is made for every packet sets its slots by their descriptors instead, in less than half the
time. One with many fields is filled while it is of an *open* class, which has the same slots and is not
frozen, and gets its own class when all are set: half of that again. Nothing else changes: the nouns stay
frozen, compare and print as before.
"""

from __future__ import annotations

from dataclasses import MISSING, fields
from typing import Any, Final, TypeVar

__all__ = ["quick"]

_T = TypeVar("_T")
#: From so many fields on, to change an object's class twice is quicker than to call each descriptor.
_MANY: Final = 6


def quick(cls: type[_T]) -> type[_T]:
    """
    Give a dataclass, frozen and with slots, an ``__init__`` of the same signature that is quicker.

    It is for final classes: an object of a class below it might not be built.

    :raises TypeError: if a field has a default that is made anew each time, if there is more to do than
        to set fields, or if the class has another above it.
    """
    if cls.__bases__ != (object,):
        raise TypeError(f"{cls.__name__} has a class above it")
    known: dict[str, Any] = {}
    parameters, names = ["self"], []
    for each in fields(cls):  # type: ignore[arg-type]  # checked by ``fields`` itself
        if each.default_factory is not MISSING or not each.init or hasattr(cls, "__post_init__"):
            raise TypeError(f"{cls.__name__}.{each.name}")
        names.append(each.name)
        if each.default is MISSING:
            parameters.append(each.name)
        else:
            known[f"default_{each.name}"] = each.default
            parameters.append(f"{each.name}=default_{each.name}")
    body = (_opened if len(names) >= _MANY else _by_descriptors)(cls, names, known)
    made: dict[str, Any] = {}
    source = f"def __init__({', '.join(parameters)}):\n  " + "\n  ".join(body)
    exec(source, known, made)  # noqa: S102 (names of fields alone, as ``dataclasses`` does it)
    init = made["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    init.__annotations__ = dict(cls.__init__.__annotations__)
    setattr(cls, "__init__", init)  # noqa: B010 (mypy refuses to assign to a method)
    return cls


def _by_descriptors(cls: type[object], names: list[str], known: dict[str, Any]) -> list[str]:
    known |= {f"set_{name}": cls.__dict__[name].__set__ for name in names}
    return [f"set_{name}(self, {name})" for name in names]


def _opened(cls: type[object], names: list[str], known: dict[str, Any]) -> list[str]:
    known["closed"] = cls
    known["open"] = type(f"_Open{cls.__name__}", (), {"__slots__": tuple(names)})
    known["set_class"] = object.__dict__["__class__"].__set__
    return ["set_class(self, open)", *(f"self.{name} = {name}" for name in names), "self.__class__ = closed"]
