"""
Values in the tracer's JSON lines: one decoder a kind, and how an object is decoded by a table.

A decoder takes the value, which is never ``null``, and raises ``ValueError`` where another was expected.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import Any, Final, TypeVar

from bothways.facts.address import IPAddress
from bothways.facts.kernel_event import Happening, function_name
from bothways.facts.packet import ICMP, ICMP6, TCP, UDP, Flag
from bothways.parse.reading import NotModelledError, quoted

__all__ = [
    "Decoder",
    "Decoding",
    "Table",
    "as_address",
    "as_count",
    "as_flags",
    "as_function",
    "as_happening",
    "as_names",
    "as_number",
    "as_object",
    "as_port",
    "as_protocol",
    "as_real",
    "as_several",
    "as_text",
    "as_truth",
    "as_word",
    "as_words",
    "built",
]

Noun = TypeVar("Noun")

#: Words of ``protocol`` that are no numbers, RFC 1700 and its successor.
_PROTOCOLS: Final[Mapping[str, int]] = {
    "icmp": ICMP, "igmp": 2, "tcp": TCP, "udp": UDP, "dccp": 33, "gre": 47, "esp": 50, "ah": 51,
    "icmp6": ICMP6, "icmpv6": ICMP6, "ipv6-icmp": ICMP6, "sctp": 132, "udplite": 136,
}  # fmt: skip
_FLAGS: Final[Mapping[str, Flag]] = {
    "F": Flag.FIN, "S": Flag.SYN, "R": Flag.RST, "P": Flag.PSH, ".": Flag.ACK, "U": Flag.URG, "E": Flag.ECE,
    "W": Flag.CWR,
}  # fmt: skip
_NO_FLAGS: Final = "none"
#: Combinations that were met: few of the 256 are ever seen.
_SEEN_FLAGS: Final[dict[str, Flag]] = {}
_MOST_FLAGS: Final = 256
_HAPPENINGS: Final[Mapping[str, Happening]] = {str(each): each for each in Happening}
_LARGEST: Final = 1 << 64
_HIGHEST_PORT: Final = 0xFFFF


@dataclass(slots=True)
class Decoding:
    """
    What decoders share while a file is read.

    :param addresses: those that were met.
    :param depth: how many packets the one that is read lies in.
    :param strange: members that no table has, as ``object.member``, in the order in which they were met.
    """

    addresses: dict[str, IPAddress] = field(default_factory=dict)
    depth: int = 0
    strange: dict[str, None] = field(default_factory=dict)

    def members(self, table: Table, said: Mapping[str, Any], what: str) -> dict[str, Any]:
        """Decode an object by its table; ``null`` counts as not there."""
        decoded: dict[str, Any] = {}
        for key, value in said.items():
            if value is None:
                continue
            row = table.get(key)
            if row is None:
                self.strange.setdefault(f"{what}.{key}")
                continue
            name, decode = row
            try:
                decoded[name] = decode(value, self)
            except NotModelledError:
                raise
            except ValueError as error:
                raise ValueError(f"`{key}`: {error}") from error
        return decoded


Decoder = Callable[[Any, Decoding], object]
#: Member of an object -> field of the noun, and how it is read.
Table = Mapping[str, tuple[str, Decoder]]


def as_text(value: object, _reader: Decoding) -> str:
    """A string."""
    if not isinstance(value, str):
        raise ValueError(f"{_kind(value)} stands where a string is expected")  # noqa: TRY004 (a reader's error)
    return value


def as_number(value: object, _reader: Decoding) -> int:
    """An integer of at most 64 bits."""
    if not isinstance(value, int) or isinstance(value, bool) or not -_LARGEST < value < _LARGEST:
        raise ValueError(f"{_kind(value)} stands where a number is expected")
    return value


def as_count(value: object, reader: Decoding) -> int:
    """An integer that is not negative."""
    number = as_number(value, reader)
    if number < 0:
        raise ValueError(f"{number} stands where a count is expected")
    return number


def as_port(value: object, reader: Decoding) -> int:
    """A port."""
    number = as_number(value, reader)
    if not 0 <= number <= _HIGHEST_PORT:
        raise ValueError(f"{number} is no port")
    return number


def as_real(value: object, _reader: Decoding) -> float:
    """Seconds."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{_kind(value)} stands where seconds are expected")  # noqa: TRY004 (a reader's error)
    return float(value)


def as_truth(value: object, _reader: Decoding) -> bool:
    """True or false."""
    if not isinstance(value, bool):
        raise ValueError(f"{_kind(value)} stands where true or false is expected")  # noqa: TRY004
    return value


def as_words(value: object, _reader: Decoding) -> tuple[str, ...]:
    """A list of strings."""
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise ValueError(f"{_kind(value)} stands where a list of words is expected")
    return tuple(value)


def as_object(value: object, _reader: Decoding) -> dict[str, Any]:
    """An object."""
    if not isinstance(value, dict):
        raise ValueError(f"{_kind(value)} stands where an object is expected")  # noqa: TRY004
    return value


def as_names(value: object, reader: Decoding) -> Mapping[str, str]:
    """An object whose values are strings."""
    members = as_object(value, reader)
    if not all(isinstance(name, str) for name in members.values()):
        raise ValueError("names of namespaces are expected")
    return members


def as_address(value: object, reader: Decoding) -> IPAddress:
    """An IP address; one object for each that is met."""
    text = as_text(value, reader)
    known = reader.addresses.get(text)
    if known is None:
        known = reader.addresses[text] = ip_address(text)
    return known


def as_happening(value: object, reader: Decoding) -> Happening:
    """The word of an event."""
    word = as_text(value, reader)
    known = _HAPPENINGS.get(word)
    if known is None:
        raise NotModelledError(f"the event {quoted(word)} is not known")
    return known


def as_function(value: object, reader: Decoding) -> str:
    """A kernel function, its offset and suffixes taken off."""
    return function_name(as_text(value, reader))


def as_protocol(value: object, reader: Decoding) -> int:
    """An IP protocol, by name or number."""
    if isinstance(value, int):
        return as_count(value, reader)
    word = as_text(value, reader)
    if word in _PROTOCOLS:
        return _PROTOCOLS[word]
    try:
        return int(word)
    except ValueError as error:
        raise NotModelledError(f"the protocol {quoted(word)} is not known") from error


def as_flags(value: object, reader: Decoding) -> Flag:
    """TCP flags in the letters of tcpdump."""
    word = as_text(value, reader)
    known = _SEEN_FLAGS.get(word)
    if known is None:
        known = _read_flags(word)
        if len(_SEEN_FLAGS) < _MOST_FLAGS:
            _SEEN_FLAGS[word] = known
    return known


def _read_flags(word: str) -> Flag:
    total = Flag(0)
    for letter in "" if word == _NO_FLAGS else word:
        if letter not in _FLAGS:
            raise ValueError(f"{quoted(word)} are no TCP flags")
        total |= _FLAGS[letter]
    return total


def _kind(value: object) -> str:
    return quoted(value) if isinstance(value, str) else f"`{type(value).__name__}`"


def as_word(value: object, reader: Decoding) -> str:
    """A string, or a number spelt out."""
    return str(value) if isinstance(value, int) else as_text(value, reader)


def as_several(decode: Decoder) -> Decoder:
    """A list whose items are read by one decoder."""

    def each(value: object, reader: Decoding) -> object:
        if not isinstance(value, list):
            raise ValueError(f"{_kind(value)} stands where a list is expected")  # noqa: TRY004 (a reader's error)
        return tuple(decode(item, reader) for item in value)

    return each


def built(noun: Callable[..., Noun], said: Mapping[str, Any], what: str) -> Noun:
    """Make a noun of decoded members, or say which is missing."""
    try:
        return noun(**said)
    except TypeError as error:
        missing = str(error).rpartition(":")[2].strip() or "a member"
        raise ValueError(f"a `{what}` without {missing}") from error
