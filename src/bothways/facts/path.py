"""The way that one packet took, as somebody would draw it: hosts, namespaces and bridges in order."""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.trajectory import Way

__all__ = ["Path", "Stop"]


@dataclass(frozen=True, slots=True)
class Stop:
    """
    One namespace or bridge that a packet passed.

    :param netns: namespace, "" if the stop is a bridge of Open vSwitch.
    :param bridge: bridge, "" if the stop is a namespace.
    :param devices: devices or ports that it was seen at there, in order.
    :param notes: what was done to it there, one short clause each: ``translated to 192.0.2.1:22``.
    """

    host: str
    netns: str = ""
    bridge: str = ""
    devices: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def place(self) -> tuple[str, str, str]:
        """What makes two stops the same place."""
        return (self.host, self.netns, self.bridge)


@dataclass(frozen=True, slots=True)
class Path:
    """
    Where one packet went.

    :param packet: as the ladder calls it: ``SYN``, ``SYN/ACK``.
    :param stops: from its sender onwards.
    :param observed: True if captures show it, False if the model walked it.
    :param arrived: False if it was lost on the way, None if that is not known.
    """

    packet: str
    way: Way
    stops: tuple[Stop, ...]
    observed: bool = False
    arrived: bool | None = None
