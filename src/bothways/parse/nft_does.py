"""
Statements of nft, from the shape of ``nft -j`` to what they ask or do.

One row per statement. The reader of the text form builds the same shape. Source: libnftables-json(5),
*STATEMENTS*.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from bothways.facts.nft_action import (
    Action,
    Assign,
    Compare,
    Dispatch,
    Divert,
    Gate,
    Notrack,
    Reject,
    Remark,
    Translate,
    Update,
    Write,
)
from bothways.facts.nft_expression import Expression, Field, Interval, SetOf
from bothways.parse.nft_decode import VERDICTS, cases, decode, types_of, verdict
from bothways.parse.nft_types import BITMASKS, duration
from bothways.parse.reading import NotModelledError, quoted

__all__ = ["action"]

_OPERATORS: Final = frozenset({"==", "!=", "<", ">", "<=", ">=", "in", "!"})
_ADDRESSES: Final = {"ip": "ipv4_addr", "ip6": "ipv6_addr"}
#: What ``limit`` takes without a word.
_BURST: Final = 5
#: Extensions of iptables that ask and change nothing.
_IDLE_EXTENSIONS: Final = frozenset({"comment", "LOG", "NFLOG", "CHECKSUM", "TCPMSS", "AUDIT"})
_REJECTIONS: Final = frozenset({"icmp", "icmpv6", "icmpx"})


def action(given: object, family: str) -> Action:
    """
    One statement.

    :param given: an object of one member, as in the ``expr`` of a rule.
    :raises ValueError: for what is no statement; ``NotModelledError`` for what is not evaluated.
    """
    if not isinstance(given, dict) or len(given) != 1:
        raise ValueError("a statement with one member was expected")
    name = next(iter(given))
    if name in VERDICTS:
        found = verdict(given)
        if found is None:
            raise ValueError(f"{quoted(name)} lacks its chain")
        return found
    reader = _READERS.get(name)
    if reader is None:
        raise NotModelledError(f"{quoted(name)} is not evaluated")
    return reader(given[name], family)


def _get(given: object, name: str) -> object:
    return given.get(name) if isinstance(given, dict) else None


def _match(given: object, family: str) -> Action:
    left = decode(_get(given, "left"), (), family)
    types = types_of(left)
    right = decode(_get(given, "right"), types, family)
    operator = _get(given, "op")
    flags = types[0] in BITMASKS and isinstance(right, Interval)
    if operator is None or operator == "in":
        operator = "in" if flags else "=="
    if operator not in _OPERATORS:
        raise NotModelledError(f"the operator {quoted(str(operator))} is not evaluated")
    if isinstance(right, SetOf) and not right.elements:
        raise NotModelledError("an empty set is not evaluated")
    return Compare(left, str(operator), right)


def _vmap(given: object, family: str) -> Action:
    key = decode(_get(given, "key"), (), family)
    return Dispatch(key, cases(_get(given, "data"), types_of(key), (), family))


def _mangle(given: object, family: str) -> Action:
    field = decode(_get(given, "key"), (), family)
    if not isinstance(field, Field):
        raise NotModelledError("a change of what is no field is not evaluated")
    return Write(field, decode(_get(given, "value"), (field.type,), family))


def _nat(kind: str) -> Callable[[object, str], Action]:
    def read(given: object, family: str) -> Action:
        address, port = _get(given, "addr"), _get(given, "port")
        version = str(_get(given, "family") or family)
        types = (_ADDRESSES.get(version, "ipv4_addr"),)
        flags = _words(_get(given, "flags"))
        to = None if address is None else _with_port(address, types, family)
        return Translate(
            kind,
            to,
            None if port is None else decode(port, ("inet_service",), family),
            frozenset(flags) & {"random", "fully-random", "persistent"},
            "netmap" in flags or "prefix" in _words(_get(given, "type_flags")),
            version if version in _ADDRESSES and kind in ("snat", "dnat") else "",
        )

    return read


def _with_port(address: object, types: tuple[str, ...], family: str) -> Expression:
    """An address; of a map whose data are concatenations, address and port."""
    pairs = _get(_get(_get(address, "map"), "data"), "set")
    first = pairs[0] if isinstance(pairs, list) and pairs else None
    datum = first[1] if isinstance(first, list) and len(first) == 2 else None  # noqa: PLR2004 (key and value)
    joined = _get(address, "concat") is not None or _get(datum, "concat") is not None
    return decode(address, (*types, "inet_service") if joined else types, family)


def _words(given: object) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(map(str, given)) if isinstance(given, list) else ()


def _reject(given: object, family: str) -> Action:
    kind, code = _get(given, "type"), _get(given, "expr")
    if given is None:
        return Reject({"ip": "icmp", "ip6": "icmpv6"}.get(family, "icmpx"), "port-unreachable")
    if kind == "tcp reset":
        return Reject("tcp reset")
    if kind not in _REJECTIONS:
        raise NotModelledError(f"{quoted(f'reject with {kind}')} is not evaluated")
    return Reject(str(kind), str(code or "port-unreachable"))


def _limit(given: object, _: str) -> Action:
    if isinstance(given, dict) and "map" not in given:
        unit = str(given.get("rate_unit", "packets"))
        burst = given.get("burst", _BURST if unit == "packets" else 0)
        terms = [("rate", f"{given.get('rate')} {unit}/{given.get('per', 'second')}")]
        if burst not in (0, "0"):
            terms.append(("burst", f"{burst} {given.get('burst_unit', unit)}"))
        return Gate("limit", tuple(terms), bool(given.get("inv")))
    return Gate("limit", (("name", _name(given)),))


def _name(given: object) -> str:
    return given if isinstance(given, str) else "a map"


def _quota(given: object, _: str) -> Action:
    if isinstance(given, dict) and "map" not in given:
        return Gate(
            "quota",
            (("value", f"{given.get('val')} {given.get('val_unit', 'bytes')}"),),
            bool(given.get("inv")),
        )
    return Gate("quota", (("name", _name(given)),))


def _connections(given: object, _: str) -> Action:
    return Gate("ct count", (("value", str(_get(given, "val"))),), bool(_get(given, "inv")))


def _update(given: object, family: str) -> Action:
    raw = _get(given, "elem")
    inner = _get(raw, "elem")
    key = raw if inner is None else _get(inner, "val")
    timeout = _get(inner, "timeout")
    data = _get(given, "data")
    gates = _get(given, "stmt")
    found = tuple(action(each, family) for each in gates) if isinstance(gates, list) else ()
    return Update(
        str(_get(given, "op")),
        str(_get(given, "set") or _get(given, "map")).removeprefix("@"),
        decode(key, (), family),
        None if data is None else decode(data, (), family),
        None if timeout is None else duration(str(timeout)),
        tuple(each for each in found if isinstance(each, Gate)),
    )


def _meter(given: object, family: str) -> Action:
    key = _get(given, "key")
    inner = _get(key, "elem")
    stmt = _get(given, "stmt")
    found = action(stmt, family)
    gates = (found,) if isinstance(found, Gate) else ()
    timeout = _get(inner, "timeout")
    return Update(
        "add",
        str(_get(given, "name")),
        decode(key if inner is None else _get(inner, "val"), (), family),
        timeout_s=None if timeout is None else duration(str(timeout)),
        gates=gates,
    )


def _forward(kind: str) -> Callable[[object, str], Action]:
    def read(given: object, family: str) -> Action:
        address, device = _get(given, "addr"), _get(given, "dev")
        version = str(_get(given, "family") or family)
        if kind == "dup" and family == "netdev":
            address, device = None, address
        types = (_ADDRESSES.get(version, "ipv4_addr"),)
        return Divert(
            kind,
            None if device is None else decode(device, ("ifname",), family),
            None if address is None else decode(address, types, family),
        )

    return read


def _tproxy(given: object, family: str) -> Action:
    address, port = _get(given, "addr"), _get(given, "port")
    version = str(_get(given, "family") or family)
    types = (_ADDRESSES.get(version, "ipv4_addr"),)
    return Divert(
        "tproxy",
        address=None if address is None else decode(address, types, family),
        port=None if port is None else decode(port, ("inet_service",), family),
    )


def _queue(given: object, _: str) -> Action:
    number = _get(given, "num")
    flags = ",".join(_words(_get(given, "flags")))
    terms = [("num", "" if number is None else str(number))]
    if flags:
        terms.append(("flags", flags))
    return Divert("queue", terms=tuple(terms))


def _synproxy(_: object, __: str) -> Action:
    return Divert("synproxy")


def _flow(given: object, _: str) -> Action:
    name = str(_get(given, "flowtable")).removeprefix("@")
    return Divert("flow", terms=(("flowtable", name),))


def _assign(kind: str) -> Callable[[object, str], Action]:
    return lambda given, _: Assign(kind, _name(given))


def _xt(given: object, _: str) -> Action:
    name = _get(given, "name")
    if _get(given, "type") == "watcher" or name in _IDLE_EXTENSIONS:
        return Remark("xt")
    raise NotModelledError(
        f"the extension {name or 'xt'} of iptables is not evaluated here, see iptables-save"
    )


def _remark(kind: str) -> Callable[[object, str], Action]:
    return lambda _, __: Remark(kind)


_READERS: Final[Mapping[str, Callable[[object, str], Action]]] = {
    "match": _match,
    "vmap": _vmap,
    "mangle": _mangle,
    "snat": _nat("snat"),
    "dnat": _nat("dnat"),
    "masquerade": _nat("masquerade"),
    "redirect": _nat("redirect"),
    "reject": _reject,
    "notrack": lambda _, __: Notrack(),
    "limit": _limit,
    "quota": _quota,
    "ct count": _connections,
    "set": _update,
    "map": _update,
    "meter": _meter,
    "fwd": _forward("fwd"),
    "dup": _forward("dup"),
    "tproxy": _tproxy,
    "queue": _queue,
    "synproxy": _synproxy,
    "flow": _flow,
    "ct helper": _assign("ct helper"),
    "ct timeout": _assign("ct timeout"),
    "ct expectation": _assign("ct expectation"),
    "counter": _remark("counter"),
    "log": _remark("log"),
    "last": _remark("last"),
    "secmark": _remark("secmark"),
    "xt": _xt,
}
