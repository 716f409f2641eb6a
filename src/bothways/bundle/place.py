"""
Where a user says that evidence was taken: ``--tap HOST/NETNS:DEVICE=FILE``, ``--place HOST/NETNS=FILE``.

FILE may end in ``:LINE``, for one of several outputs in a text. HOST alone is the host's own namespace. For
what one bridge says, ``--place HOST:BRIDGE=FILE``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bothways.bundle.error import BundleError

__all__ = ["ROOT", "Place", "Said", "read_places"]

ROOT: Final = "root"
_PLACE: Final = re.compile(r"(?P<host>[^/:=]+)(?:/(?P<netns>[^:=]+))?(?::(?P<device>[^=]+?))?=(?P<file>.+)\Z")
_LINE: Final = re.compile(r":(\d{1,9})\Z")


@dataclass(frozen=True, slots=True)
class Place:
    """
    A place; None = not known.

    :param device: the device of a capture, or the bridge of a dump.
    """

    host: str | None = None
    netns: str | None = None
    device: str | None = None

    def over(self, other: Place) -> Place:
        """The place, and what it leaves open as the other one says."""
        return Place(self.host or other.host, self.netns or other.netns, self.device or other.device)


@dataclass(frozen=True, slots=True)
class Said:
    """
    One option.

    :param line: a line of the text that is meant, None for all of the file.
    :param place: without namespace it is that which the evidence itself tells, or the host's own.
    """

    text: str
    place: Place
    file: str
    line: int | None
    capture: bool


def _read(text: str, *, capture: bool) -> Said:
    form = "HOST[/NETNS]:DEVICE=FILE" if capture else "HOST[/NETNS][:BRIDGE]=FILE"
    option = "--tap" if capture else "--place"
    found = _PLACE.match(text)
    if found is None or (capture and found["device"] is None):
        raise BundleError(
            f"`{option} {text}` is not a place, expected {option} {form}", f"write `{option} {form}`"
        )
    file, line = found["file"], _LINE.search(found["file"])
    if line is not None:
        file = file[: line.start()]
    place = Place(found["host"], found["netns"], found["device"])
    return Said(f"{option} {text}", place, file, int(line[1]) if line else None, capture)


def read_places(taps: Sequence[str], places: Sequence[str]) -> tuple[Said, ...]:
    """
    Read the options in their order.

    :raises BundleError: if one has another form.
    """
    return (*(_read(text, capture=True) for text in taps), *(_read(text, capture=False) for text in places))
