"""Kinds of types in BTF, and how many words each takes (uapi/linux/btf.h)."""

from typing import Dict

__all__ = [
    "ARRAY",
    "COMPOSITE",
    "CONST",
    "DATASEC",
    "DECL_TAG",
    "ENUM",
    "ENUM64",
    "ENUMS",
    "FIXED",
    "FLOAT",
    "FUNC",
    "FUNC_PROTO",
    "FWD",
    "INT",
    "POINTER",
    "RESTRICT",
    "SEE_THROUGH",
    "STEPS",
    "STRUCT",
    "TYPEDEF",
    "TYPE_TAG",
    "UNION",
    "VAR",
    "VOLATILE",
]

INT = 1
POINTER = 2
ARRAY = 3
STRUCT = 4
UNION = 5
ENUM = 6
FWD = 7
TYPEDEF = 8
VOLATILE = 9
CONST = 10
RESTRICT = 11
FUNC = 12
FUNC_PROTO = 13
VAR = 14
DATASEC = 15
FLOAT = 16
DECL_TAG = 17
TYPE_TAG = 18
ENUM64 = 19
COMPOSITE = frozenset({STRUCT, UNION})
ENUMS = frozenset({ENUM, ENUM64})
SEE_THROUGH = frozenset({TYPEDEF, VOLATILE, CONST, RESTRICT, TYPE_TAG})

#: words of a type: always, and for each of its members
FIXED = [3] * 32
_EACH = [0] * 32
for _kind, _words in ((INT, 1), (VAR, 1), (DECL_TAG, 1), (ARRAY, 3)):
    FIXED[_kind] += _words
for _kind, _words in ((STRUCT, 3), (UNION, 3), (ENUM, 2), (FUNC_PROTO, 2), (DATASEC, 3), (ENUM64, 3)):
    _EACH[_kind] = _words


class _Steps(Dict[int, int]):
    """Words from one type to the next, by the word that says its kind and length."""

    def __missing__(self, information: int) -> int:
        kind = information >> 24 & 31
        self[information] = FIXED[kind] + _EACH[kind] * (information & 0xFFFF)
        return self[information]


STEPS = _Steps()
