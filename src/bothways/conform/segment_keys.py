"""What the keys of a recorded segment may hold, and which there are: one table, one check for each."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

__all__ = ["CASE_KEYS", "fault_of", "is_mixed"]

#: Keys of one line of a recording.
CASE_KEYS: Final = frozenset({"id", "class", "nat", "sysctl", "segments", "results", "family"})
_PROTOCOLS: Final = frozenset({"udp", "udplite", "icmp", "tcp"})
_TCP: Final = frozenset({"dir", "flags", "seq", "ack", "win", "len"})
_OF_TCP: Final = _TCP | {"opts", "badcsum", "trunc", "doff"}
_OF_ALL: Final = frozenset({"dir", "proto", "flow", "wait", "zone", "half", "notrack"})
#: Protocol -> the keys that one of its segments may have beside those of all.
_KEYS: Final[Mapping[str, frozenset[str]]] = MappingProxyType(
    {
        "tcp": _OF_TCP,
        "udp": frozenset({"len", "badcsum", "trunc", "ulen", "nosum"}),
        "udplite": frozenset({"len"}),
        "icmp": frozenset({"len", "badcsum", "trunc", "type", "code", "quote", "hop", "astray"}),
        "": frozenset({"len"}),
    }
)


def _below(limit: int) -> Callable[[Any], bool]:
    return lambda value: type(value) is int and 0 <= value < limit


def _any(value: Any) -> bool:
    del value
    return True


_SHORT: Final = _below(1 << 16)
_OCTET: Final = _below(1 << 8)
_CHECKS: Final[Mapping[str, Callable[[Any], bool]]] = MappingProxyType(
    {
        "dir": lambda value: value in {"A", "B"},
        "proto": lambda value: value in _PROTOCOLS if isinstance(value, str) else _OCTET(value),
        "flow": _below(4),
        "wait": lambda value: type(value) in {int, float} and 0 <= value <= _LONGEST_WAIT,
        "zone": _SHORT,
        "half": lambda value: value in {"original", "reply"},
        "notrack": _below(2),
        "len": _below(65_001),
        "badcsum": _below(2),
        "nosum": _below(2),
        "hop": _below(2),
        "astray": _below(2),
        "trunc": _below(65_001),
        "ulen": _SHORT,
        "type": _OCTET,
        "code": _OCTET,
    }
)
_LONGEST_WAIT: Final = 86_400
#: Numbers that stand for themselves and have a segment of their own.
_NAMED: Final = frozenset({1, 6, 17, 58, 136})


def is_mixed(said: Mapping[str, Any]) -> bool:
    """Whether a segment is one beyond plain TCP: it names a protocol, a flow, a zone, or waits."""
    return not said.keys() <= _OF_TCP


def fault_of(said: Mapping[str, Any]) -> str:
    """
    Return what is wrong with a segment beyond plain TCP; "" if nothing is.

    TCP's own numbers are checked as those of any segment, not here.
    """
    proto = said.get("proto", "tcp")
    known = _OF_ALL | _KEYS.get(proto if isinstance(proto, str) else "", frozenset())
    for key, value in said.items():
        if key not in known:
            return f"unknown key {key!r}"
        if key == "quote":
            inside = fault_of(value) if isinstance(value, dict) else "no segment"
            if inside:
                return f"what is quoted: {inside}"
        elif not _CHECKS.get(key, _any)(value):
            return f"{key} cannot be {value!r}"
    for key in ("dir", *(_REQUIRED.get(proto, ()) if isinstance(proto, str) else ())):
        if key not in said:
            return f"{key!r} is missing"
    if proto in _NAMED:
        return f"protocol {proto} has a name: {', '.join(sorted(_PROTOCOLS))}"
    return ""


_REQUIRED: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"tcp": tuple(sorted(_TCP)), "icmp": ("type",)}
)
