"""
What a statement of an nft rule asks or does.

Source: nft(8), *Statements*, libnftables-json(5).
"""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.nft_expression import Expression, Field, NamedSet, SetOf, Verdict

__all__ = [
    "Action",
    "Assign",
    "Compare",
    "Dispatch",
    "Divert",
    "Gate",
    "Notrack",
    "Opaque",
    "Reject",
    "Remark",
    "Translate",
    "Update",
    "Write",
]


@dataclass(frozen=True, slots=True)
class Compare:
    """
    A condition.

    :param operator: ``==``, ``!=``, ``<``, ``>``, ``<=``, ``>=``; ``in``: any bit of flags is set;
        ``!``: none is.
    """

    left: Expression
    operator: str
    right: Expression


@dataclass(frozen=True, slots=True)
class Dispatch:
    """``vmap``: the verdict that a map gives for a key."""

    key: Expression
    cases: SetOf | NamedSet


@dataclass(frozen=True, slots=True)
class Write:
    """A change: ``ip saddr set``, ``meta mark set``, ``ct mark set``."""

    field: Field
    value: Expression


@dataclass(frozen=True, slots=True)
class Translate:
    """
    ``snat``, ``dnat``, ``masquerade``, ``redirect``.

    :param address: None leaves it to the packet, or to the device. A concatenation, or a map whose data are
        concatenations, holds the port too.
    :param flags: ``random``, ``fully-random``, ``persistent``.
    :param netmap: the bits of the host stay (``prefix``).
    :param family: ``ip`` or ``ip6`` where only packets of one are translated, else "".
    """

    kind: str
    address: Expression | None = None
    port: Expression | None = None
    flags: frozenset[str] = frozenset()
    netmap: bool = False
    family: str = ""


@dataclass(frozen=True, slots=True)
class Reject:
    """
    An answer in place of the packet.

    :param kind: ``tcp reset``, ``icmp``, ``icmpv6``, or ``icmpx``, which fits the packet's IP version.
    :param code: ``port-unreachable`` …; "" for a reset.
    """

    kind: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Notrack:
    """The tracker does not look at the packet."""


@dataclass(frozen=True, slots=True)
class Gate:
    """
    A condition that depends on packets before: ``limit``, ``quota``, ``ct count``, ``connlimit``.

    :param over: holds for what is above the limit.
    """

    kind: str
    terms: tuple[tuple[str, str], ...] = ()
    over: bool = False


@dataclass(frozen=True, slots=True)
class Update:
    """
    A rule puts an element into a set or takes it out.

    :param operation: ``add``, ``update`` or ``delete``.
    :param gates: conditions of the element; if one does not hold, the rule ends.
    """

    operation: str
    name: str
    key: Expression
    data: Expression | None = None
    timeout_s: int | None = None
    gates: tuple[Gate, ...] = ()


@dataclass(frozen=True, slots=True)
class Divert:
    """
    The packet, or a copy, goes elsewhere: ``queue``, ``tproxy``, ``dup``, ``fwd``, ``synproxy``, ``flow``.

    :param device: of ``fwd`` and ``dup``.
    :param address: the next hop of ``dup`` and ``fwd``, the proxy of ``tproxy``; *port* of the proxy.
    """

    kind: str
    device: Expression | None = None
    address: Expression | None = None
    port: Expression | None = None
    terms: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Assign:
    """A connection gets an object: *kind* is ``ct helper``, ``ct timeout`` or ``ct expectation``."""

    kind: str
    name: str


@dataclass(frozen=True, slots=True)
class Remark:
    """What changes no packet: ``counter``, ``log``, ``last``."""

    kind: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """
    A statement that is kept as text and not evaluated.

    :param decides: it may end the walk; else it is a condition or a change.
    """

    text: str
    decides: bool


Action = (
    Compare | Dispatch | Verdict | Write | Translate | Reject | Notrack | Gate | Update | Divert | Assign |
    Remark | Opaque
)  # fmt: skip
