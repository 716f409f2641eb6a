"""
Sequences that nobody thought of, from a seed: the same seed gives the same sequences.

Five kinds of TCP, mixed: sessions as hosts have them, with loss, repeats and disorder; segments at the edges
of windows, with options and numbers that wrap around; flags in any order; sequences that start from a given
state; damaged headers. Some of them run over IPv6. Between them stand those of ``mixed_generation``. Settings
of the router change every few dozen sequences.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final

from bothways.conform.mixed_generation import mixed_case
from bothways.conform.recording import Case, Segment

__all__ = ["KINDS", "fresh_cases"]

_WORD: Final = 1 << 32
#: How many sequences have the same settings: writing them costs a kernel more than a sequence does.
_ROUND: Final = 40
#: One of so many waits, which takes seconds.
_WAIT_EVERY: Final = 2500
#: Which share is beyond TCP, and which share of TCP runs over IPv6.
_MIXED, _OVER_IPV6 = 0.3, 0.1
_WINDOWS: Final = (0, 1, 512, 8192, 29200, 65535)
_OTHER: Final = {"A": "B", "B": "A"}
#: Symbols of a segment: flags, where ``0`` is none and ``PA`` carries data.
_SYMBOLS: Final = ("S", "SA", "A", "F", "FA", "R", "RA", "0", "PA")
_OPEN: Final = (("A", "S"), ("B", "SA"), ("A", "A"))
#: Ways into each state of the tracker.
_BEGINNINGS: Final[tuple[tuple[tuple[str, str], ...], ...]] = (
    (("A", "S"),),
    (("A", "S"), ("A", "A")),
    (("A", "S"), ("B", "A")),
    (("A", "S"), ("B", "SA")),
    (("A", "S"), ("B", "S")),
    _OPEN,
    (*_OPEN, ("A", "PA"), ("B", "PA"), ("A", "A")),
    (*_OPEN, ("A", "FA")),
    (*_OPEN, ("A", "FA"), ("B", "A")),
    (*_OPEN, ("A", "FA"), ("B", "A"), ("B", "FA")),
    (*_OPEN, ("A", "FA"), ("B", "A"), ("B", "FA"), ("A", "A")),
    (*_OPEN, ("B", "FA"), ("A", "A"), ("A", "FA")),
    (*_OPEN, ("A", "RA")),
    (("A", "A"),),
    (("A", "A"), ("B", "A")),
    (("B", "SA"),),
)


@dataclass(slots=True)
class _End:
    """A host that numbers what it sends and acknowledges what it heard."""

    first: int
    window: int
    following: int = 0
    heard: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.following = self.first


def fresh_cases(seed: int, count: int) -> Iterator[Case]:
    """Return *count* sequences without results."""
    chance = Random(seed)
    sysctls: tuple[tuple[str, int], ...] = ()
    nat = False
    names = list(KINDS)
    for number in range(count):
        if number % _ROUND == 0:
            sysctls, nat = _settings(chance), chance.random() < 0.4
        name, waiting = f"live/{seed}/{number}", number % _WAIT_EVERY == _WAIT_EVERY // 2
        if waiting or chance.random() < _MIXED:
            yield mixed_case(chance, name, sysctls, waiting=waiting)
            continue
        kind = chance.choices(names, [weight for weight, _ in KINDS.values()])[0]
        segments = tuple(KINDS[kind][1](chance))
        if chance.random() < _OVER_IPV6:
            yield Case(name, f"{kind} over IPv6", nat, sysctls, segments, (), 6, mixed=True)
        else:
            yield Case(name, kind, nat, sysctls, segments, ())


def _settings(chance: Random) -> tuple[tuple[str, int], ...]:
    values = {
        "nf_conntrack_checksum": int(chance.random() > 0.1),
        "nf_conntrack_tcp_be_liberal": int(chance.random() < 0.2),
        "nf_conntrack_tcp_ignore_invalid_rst": int(chance.random() < 0.2),
        "nf_conntrack_tcp_loose": int(chance.random() > 0.2),
        "nf_conntrack_tcp_max_retrans": chance.choice((3, 3, 3, 1, 2)),
    }
    return tuple(sorted(values.items()))


def _first(chance: Random) -> int:
    """Give a first sequence number; many are close to where 32 bits end or change their sign."""
    return chance.choice(
        (
            chance.randrange(_WORD),
            _WORD - chance.randrange(1, 3000),
            chance.randrange(3),
            _WORD // 2 - 1 - chance.randrange(2000),
        )
    )


def _numbered(
    symbols: Sequence[tuple[str, str]], first: tuple[int, int], windows: tuple[int, int], payload: int
) -> list[Segment]:
    """Give symbols the numbers that two sound hosts would."""
    ends = {"A": _End(first[0], windows[0]), "B": _End(first[1], windows[1])}
    segments = []
    for side, symbol in symbols:
        end, other = ends[side], ends[_OTHER[side]]
        flags = symbol.replace("0", "")
        length = payload if symbol == "PA" else 0
        seq = end.first if "S" in flags else end.following
        ack = end.heard if "A" in flags else 0
        window = 0 if flags == "R" else end.window
        segments.append(_segment(side, flags, seq, ack, window, length))
        stop = seq + length + ("S" in flags) + ("F" in flags)
        if "R" not in flags:
            end.following = max(end.following, stop)
            other.heard = max(other.heard, stop) if other.heard else stop
    return segments


def _segment(side: str, flags: str, seq: int, ack: int, window: int, length: int) -> Segment:
    return {
        "dir": side,
        "flags": flags,
        "seq": seq % _WORD,
        "ack": ack % _WORD,
        "win": window,
        "len": length,
    }


def _session(chance: Random) -> list[Segment]:
    """Give a whole session as a tap sees it: with a lost direction, lost, repeated and swapped segments."""
    symbols = list(_OPEN)
    for _ in range(chance.randrange(5)):
        side = chance.choice("AB")
        symbols += [(side, "PA"), (_OTHER[side], "A")]
    symbols += chance.choice(_ENDINGS)
    if chance.random() < 0.2:
        symbols += _OPEN
    first = (_first(chance), _first(chance))
    segments = _numbered(symbols, first, (29200, 28960), chance.choice((1, 100, 1400)))
    fault = chance.random()
    if fault < 0.25:
        side, since = chance.choice("AB"), chance.randrange(len(segments))
        segments = [each for at, each in enumerate(segments) if at < since or each["dir"] != side]
    elif fault < 0.6:
        segments = [each for each in segments if chance.random() > 0.12]
    if not segments:
        return _numbered(_OPEN, first, (29200, 28960), 0)
    if fault > 0.5:
        at = chance.randrange(len(segments))
        for _ in range(
            chance.choice((1, 1, 3))
        ):  # some are repeated often enough to count as retransmissions
            segments.insert(min(len(segments), at + chance.randrange(1, 4)), dict(segments[at]))
    if fault > 0.75 and len(segments) > 2:
        at = chance.randrange(len(segments) - 1)
        segments[at], segments[at + 1] = segments[at + 1], segments[at]
    return segments


_ENDINGS: Final[tuple[tuple[tuple[str, str], ...], ...]] = (
    (("A", "FA"), ("B", "FA"), ("A", "A")),
    (("A", "FA"), ("B", "A"), ("B", "FA"), ("A", "A")),
    (("B", "FA"), ("A", "A"), ("A", "FA"), ("B", "A")),
    (("A", "FA"), ("B", "FA"), ("B", "A"), ("A", "A")),
    (("A", "RA"),),
    (("B", "R"),),
    (),
)


def _disorder(chance: Random) -> list[Segment]:
    """Give flags in any order, and now and then numbers that fit nothing."""
    symbols = [("A", chance.choice(("S", "S", "S", "A", "PA", "SA")))]
    more = (*_SYMBOLS, "A", "PA", "SA", "S")
    symbols += [(chance.choice("AB"), chance.choice(more)) for _ in range(chance.randrange(1, 10))]
    return _shaken(chance, symbols)


def _from_a_state(chance: Random) -> list[Segment]:
    """Give a way into a state, and a few segments more."""
    symbols = list(chance.choice(_BEGINNINGS))
    symbols += [(chance.choice("AB"), chance.choice(_SYMBOLS)) for _ in range(chance.randrange(1, 5))]
    return _shaken(chance, symbols, 0.05)


def _shaken(chance: Random, symbols: Sequence[tuple[str, str]], share: float = 0.2) -> list[Segment]:
    first = (_first(chance), _first(chance))
    windows = (chance.choice((1, 8192, 65535)), chance.choice((1, 8192, 65535)))
    segments = _numbered(symbols, first, windows, chance.choice((1, 10, 1400)))
    for each in segments:
        for name in ("seq", "ack"):
            if chance.random() < share and (name == "seq" or "A" in each["flags"]):
                each[name] = (each[name] + chance.choice(_SHIFTS)) % _WORD
        if chance.random() < share / 2:
            each["win"] = chance.choice((0, 1, 65535))
    return segments


_SHIFTS: Final = (-100_000, -70_000, -1, 1, 2, 1000, 70_000, 100_000, 1 << 31)


def _opening(chance: Random) -> tuple[list[Segment], dict[str, _End]]:
    """Give SYN and SYN/ACK with options, and both hosts after them."""
    ends = {}
    for side in "AB":
        window = chance.choice((*_WINDOWS, chance.randrange(1 << 16)))
        ends[side] = _End(_first(chance), window)
    one, other = ends["A"].options, ends["B"].options
    if chance.random() < 0.8:
        one["mss"] = 1460
    if chance.random() < 0.6:
        one["wscale"] = chance.choice((0, 2, 7, 8, 14, 15))
    if chance.random() < 0.6:
        one["sackok"] = 1
    if chance.random() < 0.4:
        one["ts"] = [chance.randrange(_WORD), 0]
    if chance.random() < (0.8 if "wscale" in one else 0.1):
        other["wscale"] = chance.choice((0, 3, 7, 9, 14))
    if chance.random() < (0.8 if "sackok" in one else 0.1):
        other["sackok"] = 1
    a, b = ends["A"], ends["B"]
    a.following, b.following = a.first + 1, b.first + 1
    a.heard, b.heard = b.following, a.following
    segments = [
        _segment("A", "S", a.first, 0, a.window, 0) | {"opts": one},
        _segment("B", "SA", b.first, b.heard, b.window, 0) | {"opts": other},
    ]
    return segments, ends


def _windows(chance: Random) -> list[Segment]:
    """Give an opening with options, and segments on and beside the edges of windows."""
    segments, ends = _opening(chance)
    both = ends["A"].options.keys() & ends["B"].options.keys()
    scale = {
        side: min(end.options.get("wscale", 0), 14) if "wscale" in both else 0 for side, end in ends.items()
    }
    edge = {side: end.following + ends[_OTHER[side]].window for side, end in ends.items()}
    if chance.random() < 0.85:
        a, window = ends["A"], chance.choice((0, 1, 65535, 29200, chance.randrange(2048)))
        segments.append(_segment("A", "A", a.following, a.heard, window, 0))
        a.window = window << scale["A"]
        edge["B"] = max(edge["B"], a.heard + a.window)
    for _ in range(chance.randrange(1, 8)):
        side = chance.choice("AB")
        end, other = ends[side], ends[_OTHER[side]]
        length = chance.choice((0, 0, 1, 10, 100, 536, 1400))
        flags = chance.choices(("A", "PA", "FA", "R", "RA", "S", "SA", "AU"), (8, 6, 3, 3, 3, 1, 1, 0.5))[0]
        place = chance.choice(("next",) * 8 + ("edge", "edge", "old", "back", "first", "any"))
        seq = {
            "next": end.following,
            "edge": edge[side],
            "old": end.following - max(other.window, 1),
            "back": end.following - chance.choice((1, 100, 1400, 66000)),
            "first": end.first,
            "any": chance.randrange(_WORD),
        }[place]
        if place in ("edge", "old", "back", "first") or chance.random() < 0.15:
            seq += chance.choice((-2, -1, 0, 1, 2)) - (length if chance.random() < 0.3 else 0)
        claim = chance.choice(("heard",) * 8 + ("ahead", "behind", "low", "zero", "any"))
        ack = {
            "heard": end.heard,
            "ahead": other.following,
            "behind": end.heard - chance.choice((1, 100, 2000)),
            "low": other.following - max(66000, end.window),
            "zero": 0,
            "any": chance.randrange(_WORD),
        }[claim]
        if claim in ("ahead", "behind", "low"):
            ack += chance.choice((-2, -1, 0, 1, 2))
        window = chance.choice((segments[-1]["win"], 0, 1, 229, 65535, chance.randrange(1 << 16)))
        length = 0 if "R" in flags else length
        segment = _segment(side, flags, seq, ack if "A" in flags else 0, window, length)
        options = _later_options(chance, flags, ack, sack="sackok" in both)
        segments.append(segment | ({"opts": options} if options else {}))
        if place == "next" and "S" not in flags and "R" not in flags:
            end.following = max(end.following, seq + length + ("F" in flags))
            if chance.random() < 0.8:
                other.heard = end.following
            if claim == "heard" and "A" in flags:
                end.window = window << scale[side]
                edge[_OTHER[side]] = max(edge[_OTHER[side]], end.heard + end.window)
    return segments


def _later_options(chance: Random, flags: str, ack: int, *, sack: bool) -> dict[str, Any]:
    options: dict[str, Any] = {}
    if "S" in flags and chance.random() < 0.5:
        options["mss"] = 1460
        if chance.random() < 0.5:
            options["wscale"] = chance.choice((0, 5, 9))
    elif sack and "A" in flags and chance.random() < 0.2:
        left = ack + chance.choice((1, 100, 1400))
        options["sack"] = [[left % _WORD, (left + chance.choice((1, 1400, 3000))) % _WORD]]
    elif chance.random() < 0.05:
        options["ts"] = [1, 2]
    return options


def _damaged(chance: Random) -> list[Segment]:
    """Give a sequence of which one segment has a wrong checksum, a cut header or options that are none."""
    segments = _from_a_state(chance)
    segment = chance.choice(segments)
    what = chance.choice(("badcsum", "trunc", "doff", "raw", "flags"))
    if what == "badcsum":
        segment["badcsum"] = 1
    elif what == "trunc":
        segment |= {"len": 0, "trunc": chance.choice((8, 12, 16, 19))}
    elif what == "doff":
        segment["doff"] = chance.choice((0, 4, 6, 15))
    elif what == "raw":
        segment["opts"] = {"raw": chance.choice(_RAW)}
    else:
        segment["flags"] = "".join(letter for letter in "FSRPAU" if chance.random() < 0.4)
    return segments


_RAW: Final = ("0303", "030001", "020405b4", "0808", "050a0000", "ff", "0101010101010101", "030315")

#: kind -> how often, and what makes one.
KINDS: Final[Mapping[str, tuple[int, Callable[[Random], list[Segment]]]]] = {
    "session": (3, _session),
    "window": (4, _windows),
    "disorder": (3, _disorder),
    "state": (3, _from_a_state),
    "damaged": (1, _damaged),
}
