"""
Sysctls of one namespace, with the rule by which the kernel joins those of ``all`` and of a device.

``Documentation/networking/ip-sysctl.rst`` and ``include/linux/inetdevice.h`` (``IN_DEV_ORCONF`` …). What was
not collected is None; who asks says what is then taken for granted, and only where it matters.
"""

from __future__ import annotations

from dataclasses import dataclass

from bothways.facts.snapshot import Netns, Sysctl
from bothways.facts.span import Span

__all__ = ["Setting", "Settings", "command"]

_IPV4 = 4


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that is in force, with the lines that it was read from."""

    value: int
    evidence: tuple[Span, ...]


class Settings:
    """The sysctls of a namespace."""

    def __init__(self, netns: Netns) -> None:
        self._netns = netns

    def value(self, name: str) -> Setting | None:
        """One sysctl by its dotted name, None if no dump shows it as a number."""
        found = self._netns.sysctl(name)
        number = None if found is None else _number(found)
        return None if found is None or number is None else Setting(number, (found.span,))

    def of_device(self, name: str, device: str, version: int = 4) -> Setting | None:
        """
        ``net.ipv4.conf.*.NAME`` as it is in force for a device: the higher of its own and that of ``all``.

        A device that the dump does not hold may have a higher one than ``all``: then only 1 and more is
        known. In IPv6 a device's own is in force, whatever ``all`` says.
        """
        if version != _IPV4:
            return self.value(f"net.ipv6.conf.{device}.{name}")
        whole = self.value(f"net.ipv4.conf.all.{name}")
        own = self.value(f"net.ipv4.conf.{device}.{name}")
        if own is None:
            return whole if whole is not None and whole.value else None
        if whole is None or own.value >= whole.value:
            return own
        return whole

    def forwarding(self, device: str, version: int = 4) -> Setting | None:
        """
        Whether packets that come in at a device are forwarded (``IN_DEV_FORWARD``).

        In IPv6 ``all`` decides, and since 6.17 ``force_forwarding`` of the device as well (``ip6_forward``).
        """
        if version != _IPV4:
            whole = self.value("net.ipv6.conf.all.forwarding")
            forced = self.value(f"net.ipv6.conf.{device}.force_forwarding")
            return forced if forced is not None and forced.value else whole
        own = self.value(f"net.ipv4.conf.{device}.forwarding")
        if own is not None:
            return own
        return self.value("net.ipv4.ip_forward") or self.value("net.ipv4.conf.all.forwarding")


def _number(row: Sysctl) -> int | None:
    text = row.value.strip()
    return int(text) if text.lstrip("-").isdigit() else None


def command(netns: Netns, text: str) -> str:
    """
    A command as it is typed on the host.

    >>> command(Netns("h", "blue"), "ip rule")
    'ip netns exec blue ip rule'
    """
    return text if netns.name == "root" else f"ip netns exec {netns.name} {text}"
