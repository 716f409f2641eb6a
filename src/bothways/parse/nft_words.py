"""
A statement of ``nft -j`` in nft's words, for people: what ``nft list ruleset`` would print.

Source: libnftables-json(5) for the shape, nft(8) for the words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Final

__all__ = ["words_of"]

_DEPTH: Final = 12
#: What ``limit`` takes without a word.
_BURST: Final = 5
_BARE: Final = frozenset({"iif", "oif", "iifname", "oifname", "iifgroup", "oifgroup"})
_QUOTED: Final = frozenset({"iif", "oif", "iifname", "oifname", "ibrname", "obrname", "ibriport", "obriport"})
_VERDICTS: Final = frozenset({"accept", "drop", "continue", "return", "notrack"})


def words_of(given: object) -> str:
    """
    One statement.

    >>> words_of({"mangle": {"key": {"meta": {"key": "mark"}}, "value": 22}})
    'meta mark set 22'
    """
    if not isinstance(given, dict) or len(given) != 1:
        return _plain(given)
    name, inner = next(iter(given.items()))
    if name in _VERDICTS:
        return str(name)
    row = _STATEMENTS.get(name)
    try:
        return _plain(given) if row is None else row(inner)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        return _plain(given)


def _plain(given: object) -> str:
    try:
        return json.dumps(given, ensure_ascii=False)
    except (ValueError, TypeError, RecursionError):
        return "?"


def _value(given: object, depth: int = 0, *, name: bool = False) -> str:
    if depth > _DEPTH:
        raise ValueError("too deep")
    if isinstance(given, bool):
        return "exists" if given else "missing"
    if isinstance(given, str):
        return f'"{given}"' if name and not given.startswith("@") else given
    if isinstance(given, int):
        return str(given)
    if isinstance(given, list):
        return ",".join(_value(each, depth + 1) for each in given)
    if isinstance(given, dict) and len(given) == 1:
        kind, inner = next(iter(given.items()))
        if kind in ("&", "|", "^", "<<", ">>"):
            return f" {kind} ".join(_operand(each, depth) for each in inner)
        row = _EXPRESSIONS.get(kind)
        if row is not None:
            return row(inner, depth + 1, name)
    return _plain(given)


def _operand(given: object, depth: int) -> str:
    if isinstance(given, list):
        return f"({' | '.join(_value(each, depth + 1) for each in given)})"
    return _value(given, depth + 1)


def _set(inner: object, depth: int, name: bool) -> str:  # noqa: FBT001 (one row of a table)
    items = inner if isinstance(inner, list) else [inner]
    return f"{{ {', '.join(_item(each, depth, name) for each in items)} }}"


def _item(given: object, depth: int, name: bool) -> str:  # noqa: FBT001 (as its callers)
    if isinstance(given, list):
        return f"{_item(given[0], depth, name)} : {_datum(given[1], depth)}"
    return _value(given, depth, name=name)


def _datum(given: object, depth: int) -> str:
    found = words_of(given)
    return found if isinstance(given, dict) and not found.startswith("{") else _value(given, depth)


def _ct(inner: Mapping[str, object]) -> str:
    return " ".join(str(w) for w in ("ct", inner.get("dir"), inner["key"]) if w)


def _payload(inner: Mapping[str, object]) -> str:
    if "base" in inner:
        return f"@{inner['base']},{inner['offset']},{inner['len']}"
    return f"{inner['protocol']} {inner['field']}"


def _meta(inner: Mapping[str, object]) -> str:
    key = str(inner["key"])
    return key if key in _BARE else f"meta {key}"


def _header(kind: str) -> Callable[[Mapping[str, object]], str]:
    return lambda inner: " ".join(
        str(w) for w in (kind, inner.get("name", inner.get("base")), inner.get("field")) if w
    )


def _numgen(inner: Mapping[str, object]) -> str:
    offset = f" offset {inner['offset']}" if inner.get("offset") else ""
    return f"numgen {inner['mode']} mod {inner['mod']}{offset}"


def _hash(inner: Mapping[str, object]) -> str:
    seed = f" seed {inner['seed']:#x}" if isinstance(inner.get("seed"), int) else ""
    offset = f" offset {inner['offset']}" if inner.get("offset") else ""
    return f"jhash {_value(inner['expr'])} mod {inner['mod']}{seed}{offset}"


def _fib(inner: Mapping[str, object]) -> str:
    flags = inner.get("flags")
    words = flags if isinstance(flags, list) else [flags]
    return f"fib {' . '.join(map(str, words))} {inner['result']}"


def _elem(inner: Mapping[str, object]) -> str:
    timeout = f" timeout {inner['timeout']}s" if inner.get("timeout") else ""
    return f"{_value(inner['val'])}{timeout}"


def _row(read: Callable[[Mapping[str, object]], str]) -> Callable[[object, int, bool], str]:
    def row(inner: object, _: int, __: bool) -> str:  # noqa: FBT001 (one row of a table)
        if not isinstance(inner, dict):
            raise TypeError("an object was expected")
        return read(inner)

    return row


def _joined(inner: object, depth: int, name: bool) -> str:  # noqa: FBT001 (one row of a table)
    if not isinstance(inner, list):
        raise TypeError("a list was expected")
    return " . ".join(_value(each, depth, name=name) for each in inner)


def _range(inner: object, depth: int, name: bool) -> str:  # noqa: FBT001 (one row of a table)
    if not isinstance(inner, list):
        raise TypeError("a list was expected")
    return "-".join(_value(each, depth, name=name) for each in inner)


_EXPRESSIONS: Final[Mapping[str, Callable[[object, int, bool], str]]] = {
    "payload": _row(_payload),
    "meta": _row(_meta),
    "ct": _row(_ct),
    "rt": _row(lambda inner: " ".join(str(w) for w in ("rt", inner.get("family"), inner["key"]) if w)),
    "socket": _row(lambda inner: f"socket {inner['key']}"),
    "fib": _row(_fib),
    "numgen": _row(_numgen),
    "jhash": _row(_hash),
    "symhash": _row(lambda inner: f"symhash mod {inner['mod']}"),
    "tcp option": _row(_header("tcp option")),
    "ip option": _row(_header("ip option")),
    "exthdr": _row(_header("exthdr")),
    "sctp chunk": _row(_header("sctp chunk")),
    "elem": _row(_elem),
    "prefix": _row(lambda inner: f"{_value(inner['addr'])}/{inner['len']}"),
    "range": _range,
    "concat": _joined,
    "set": _set,
    "map": _row(lambda inner: f"{_value(inner['key'])} map {_value(inner['data'])}"),
}


def _match(inner: Mapping[str, object]) -> str:
    left = inner["left"]
    meta = left.get("meta") if isinstance(left, dict) else None
    name = isinstance(meta, dict) and meta.get("key") in _QUOTED
    operator = inner.get("op")
    plain = operator in (None, "in") or (operator == "==" and not _binary(left) and not _bits(left))
    shown = "" if plain else f"{operator} "
    return f"{_value(left)} {shown}{_value(inner['right'], name=name)}"


def _bits(given: object) -> bool:
    """True for flags, of which ``==`` says more than no operator."""
    return isinstance(given, dict) and any(
        isinstance(inner, dict) and inner.get("field", inner.get("key")) in ("flags", "state", "status")
        for inner in given.values()
    )


def _binary(given: object) -> bool:
    return isinstance(given, dict) and next(iter(given), "") in ("&", "|", "^", "<<", ">>")


def _nat(kind: str) -> Callable[[Mapping[str, object] | None], str]:
    def row(inner: Mapping[str, object] | None) -> str:
        if inner is None:
            return kind
        words = [kind, *([str(inner["family"])] if "family" in inner else [])]
        flags = inner.get("flags")
        listed = flags if isinstance(flags, list) else [flags] if flags else []
        if "netmap" in listed:
            words.append("prefix")
        address, port = inner.get("addr"), inner.get("port")
        to = "" if address is None else _value(address)
        if port is not None:
            to = f"[{to}]" if ":" in to and isinstance(address, str) else to
            to += f":{_value(port)}"
        words += ["to", to] if to else []
        rest = [str(flag) for flag in listed if flag != "netmap"]
        return " ".join([*words, *([",".join(rest)] if rest else [])])

    return row


def _reject(inner: Mapping[str, object] | None) -> str:
    if inner is None:
        return "reject"
    return " ".join(str(w) for w in ("reject with", inner["type"], inner.get("expr")) if w)


def _counter(inner: object) -> str:
    if isinstance(inner, dict) and "packets" in inner:
        return f"counter packets {inner['packets']} bytes {inner['bytes']}"
    return f'counter name "{inner}"' if isinstance(inner, str) else "counter"


def _limit(inner: object) -> str:
    if not isinstance(inner, dict):
        return f'limit name "{inner}"'
    over, unit = "over " if inner.get("inv") else "", inner.get("rate_unit", "packets")
    rate = f"{inner['rate']}/" if unit == "packets" else f"{inner['rate']} {unit}/"
    burst = inner.get("burst", _BURST if unit == "packets" else 0)
    size = (
        ""
        if burst in (0, _BURST if unit == "packets" else 0)
        else f" burst {burst} {inner.get('burst_unit', unit)}"
    )
    return f"limit rate {over}{rate}{inner.get('per', 'second')}{size}"


def _quota(inner: object) -> str:
    if not isinstance(inner, dict):
        return f'quota name "{inner}"'
    return f"quota {'over ' if inner.get('inv') else ''}{inner['val']} {inner.get('val_unit', 'bytes')}"


def _log(inner: object) -> str:
    prefix = inner.get("prefix") if isinstance(inner, dict) else None
    return f'log prefix "{prefix}"' if prefix else "log"


def _update(inner: Mapping[str, object]) -> str:
    gates = inner.get("stmt")
    shown = "".join(f" {words_of(each)}" for each in gates) if isinstance(gates, list) else ""
    data = f" : {_value(inner['data'])}" if "data" in inner else ""
    return f"{inner['op']} {inner.get('set', inner.get('map'))} {{ {_value(inner['elem'])}{shown}{data} }}"


def _meter(inner: Mapping[str, object]) -> str:
    return f"meter {inner['name']} {{ {_value(inner['key'])} {words_of(inner['stmt'])} }}"


def _divert(kind: str) -> Callable[[Mapping[str, object] | None], str]:
    def row(inner: Mapping[str, object] | None) -> str:
        given = inner or {}
        address, port, device = given.get("addr"), given.get("port"), given.get("dev")
        to = ("" if address is None else _value(address)) + ("" if port is None else f":{_value(port)}")
        family = [str(given["family"])] if "family" in given else []
        words = [kind, *family, *(["to", to] if to else [])]
        if device is not None:
            words += [
                "device" if to else "to",
                f'"{_value(device)}"' if isinstance(device, str) else _value(device),
            ]
        return " ".join(words)

    return row


_STATEMENTS: Final[Mapping[str, Callable[..., str]]] = {
    "match": _match,
    "vmap": lambda inner: f"{_value(inner['key'])} vmap {_value(inner['data'])}",
    "mangle": lambda inner: f"{_value(inner['key'])} set {_value(inner['value'])}",
    "jump": lambda inner: f"jump {inner['target']}",
    "goto": lambda inner: f"goto {inner['target']}",
    "snat": _nat("snat"),
    "dnat": _nat("dnat"),
    "masquerade": _nat("masquerade"),
    "redirect": _nat("redirect"),
    "reject": _reject,
    "counter": _counter,
    "limit": _limit,
    "quota": _quota,
    "log": _log,
    "set": _update,
    "map": _update,
    "meter": _meter,
    "ct count": lambda inner: f"ct count {'over ' if inner.get('inv') else ''}{inner['val']}",
    "ct helper": lambda inner: f'ct helper set "{inner}"',
    "ct timeout": lambda inner: f'ct timeout set "{inner}"',
    "ct expectation": lambda inner: f'ct expectation set "{inner}"',
    "fwd": _divert("fwd"),
    "dup": _divert("dup"),
    "tproxy": _divert("tproxy"),
    "queue": lambda inner: f"queue num {inner.get('num', 0)}",
    "synproxy": lambda _: "synproxy",
    "flow": lambda inner: f"flow add {inner['flowtable']}",
    "xt": lambda inner: f'xt {inner["type"]} "{inner["name"]}"',
}
