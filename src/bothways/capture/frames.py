"""
Decoded frames of a capture file, gathered into sightings and problems.

What the file formats have in common: a frame has a number, a time and a decoded link layer. Which device it
crossed is the tap's, or in a capture of all devices what the link header says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from bothways.capture.layers import Layers, Refused
from bothways.capture.link_layer import Link
from bothways.capture.tcpdump_words import frame_words
from bothways.capture.tunnel import open_tunnel
from bothways.facts.sighting import Sighting, Tap
from bothways.facts.span import Kind, Problem, Span

__all__ = ["Frames"]

_ANY: Final = "any"


@dataclass(slots=True)
class Frames:
    """
    Frames of one tap while a file is read.

    :param names: ifindex -> device, for a cooked capture of all devices; None if nothing names them.
    :param unmodelled: reasons that were noted already, each once; the taps of one file may share it.
    """

    tap: Tap
    file: str
    names: Mapping[int, str] | None
    read_at: float | None
    unmodelled: set[str] = field(default_factory=set)
    sightings: list[Sighting] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    unnamed: dict[int, int] = field(default_factory=dict)

    def span(self, frame: int | None = None, text: str = "") -> Span:
        """The place of a frame, or of the file."""
        return Span(self.file, frame=frame, text=text, read_at=self.read_at)

    def problem(self, kind: Kind, message: str, frame: int | None = None, hint: str = "") -> None:
        """Note a problem."""
        self.problems.append(Problem(kind, self.span(frame), message, hint))

    def device(self, link: Link, frame: int) -> str | None:
        """The device of a frame; an ifindex without a name is remembered."""
        if link.ifindex is not None:
            name = (self.names or {}).get(link.ifindex)
            if name is None and self.tap.device == _ANY:
                self.unnamed.setdefault(link.ifindex, frame)
            if name is not None or self.tap.device == _ANY:
                return name
        return None if self.tap.device == _ANY else self.tap.device

    def take(self, link: Link, frame: int, time_ns: int, *, truncated: bool) -> None:
        """Turn one decoded frame into a sighting or a problem."""
        if isinstance(link.content, Refused):
            self.refuse(link.content, frame, truncated=truncated)
            return
        layers: Layers = open_tunnel(link.content)
        device = self.device(link, frame)
        words = frame_words(layers, time_ns, device=device, way=link.way)
        self.sightings.append(
            Sighting(
                self.tap,
                device,
                link.direction,
                time_ns,
                layers.packet,
                self.span(frame, words),
                frame - 1,
                layers.tunnel,
                truncated=truncated,
            )
        )

    def refuse(self, refused: Refused, frame: int, *, truncated: bool) -> None:
        """Note a frame that gives no sighting; one note for each kind that is not modelled."""
        if refused.kind is None:
            return
        if truncated and refused.kind is Kind.MALFORMED:
            message = f"frame was cut too short to decode: {refused.reason}"
            self.problem(
                Kind.MALFORMED, message, frame, "capture with a larger snapshot length: tcpdump -s 0"
            )
        elif refused.kind is not Kind.UNMODELLED:
            self.problem(refused.kind, f"frame cannot be decoded: {refused.reason}", frame)
        elif refused.reason not in self.unmodelled:
            self.unmodelled.add(refused.reason)
            message = f"frames of `{refused.reason}` are not followed; this is the first"
            self.problem(refused.kind, message, frame)

    def name_the_unnamed(self) -> None:
        """One problem for all ifindexes without a name."""
        if not self.unnamed:
            return
        frame = min(self.unnamed.values())
        listed = ", ".join(f"`{index}`" for index in sorted(self.unnamed))
        if self.names is None:
            message = f"the capture stores device numbers only ({listed}) and no addr.json names them"
        else:
            message = f"no device of addr.json has the number {listed} that the capture stores"
        hint = "put `ip -d -j addr` of the same namespace, from the same time, into addr.json"
        self.problem(Kind.UNREADABLE, message, frame, hint)
