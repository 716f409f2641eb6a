"""
What a rule of nft reads, computes and compares: its expressions as a tree.

``nft list ruleset`` and ``nft -j list ruleset`` give the same trees. Values are decoded to what the kernel
compares: numbers in host order, and names of devices, which may end in ``*``. Source: nft(8), *Expressions*,
libnftables-json(5).
"""

from __future__ import annotations

from dataclasses import dataclass

__all__ = [
    "Concat",
    "Draw",
    "Element",
    "Expression",
    "Fib",
    "Field",
    "Interval",
    "Mapped",
    "NamedSet",
    "Operation",
    "SetOf",
    "Unread",
    "Verdict",
    "Word",
]


@dataclass(frozen=True, slots=True)
class Field:
    """
    Something that is read of a packet or of what goes with it.

    :param name: as nft spells it in full: ``ip saddr``, ``meta mark``, ``ct original ip saddr``,
        ``tcp option maxseg size``, ``@nh,96,32``.
    :param type: its data type: ``ipv4_addr``, ``inet_service``, ``mark`` …
    """

    name: str
    type: str


@dataclass(frozen=True, slots=True)
class Interval:
    """A number, or all from *low* to *high*, both ends included."""

    low: int
    high: int


@dataclass(frozen=True, slots=True)
class Word:
    """A name: of a device (a ``*`` at the end stands for any rest), of a helper, of an object."""

    text: str


@dataclass(frozen=True, slots=True)
class Fib:
    """
    A question to the routing tables (``fib saddr . iif oif``).

    :param flags: what the lookup is made with: ``saddr`` or ``daddr``, ``iif``, ``oif``, ``mark``.
    :param result: ``oif``, ``oifname`` or ``type``.
    """

    flags: tuple[str, ...]
    result: str


@dataclass(frozen=True, slots=True)
class Draw:
    """
    A number that the kernel picks: ``numgen random|inc``, ``jhash``, ``symhash``.

    It is between *offset* and *offset* + *modulus* - 1. *key* and *seed* belong to ``jhash``; without a seed
    the kernel picks one.
    """

    kind: str
    modulus: int
    offset: int = 0
    seed: int | None = None
    key: Expression | None = None


@dataclass(frozen=True, slots=True)
class Concat:
    """Several values side by side (``ip saddr . tcp dport``)."""

    parts: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class Operation:
    """Two numbers and ``&``, ``|``, ``^``, ``<<`` or ``>>``."""

    operator: str
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Verdict:
    """``accept``, ``drop``, ``continue``, ``return``, ``jump`` or ``goto``, these with their *chain*."""

    kind: str
    chain: str = ""


@dataclass(frozen=True, slots=True)
class Element:
    """
    One element of a set or map.

    :param key: one part per part of the concatenation; empty for ``*``, which any key falls back to.
    :param data: what a map gives for it, None in a set.
    :param timeout_s: after which it goes away, None if it stays.
    """

    key: tuple[Interval | Word | Unread, ...]
    data: Expression | Verdict | None = None
    timeout_s: int | None = None
    comment: str = ""


@dataclass(frozen=True, slots=True)
class SetOf:
    """Elements that stand in the rule itself (``{ 22, 80-90 }``)."""

    elements: tuple[Element, ...]


@dataclass(frozen=True, slots=True)
class NamedSet:
    """A set or map of the table, by name (``@good``)."""

    name: str


@dataclass(frozen=True, slots=True)
class Mapped:
    """What a map gives for a key (``ip saddr map { … }``)."""

    key: Expression
    data: SetOf | NamedSet


@dataclass(frozen=True, slots=True)
class Unread:
    """A part that is kept as text and not evaluated."""

    text: str


Expression = (
    Field | Interval | Word | Fib | Draw | Concat | Operation | SetOf | NamedSet | Mapped | Unread
)  # fmt: skip
