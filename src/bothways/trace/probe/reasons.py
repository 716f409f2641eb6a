"""
Why the kernel dropped a packet, or sent an RST: its own words, from the enumerations of the running kernel.

A drop reason is a number whose upper half names a subsystem: 0 is the core, others are modules with an
enumeration of their own (``include/net/dropreason.h``). Numbers change from release to release, names
seldom: so names are always asked of the running kernel, never kept here.
"""

from typing import Dict, NamedTuple, Optional

from bothways.trace.probe.kernel import Kernel

__all__ = ["Reason", "Reasons"]

_CORE = "core"
_DROPS, _DROP_PREFIX = "skb_drop_reason", "SKB_DROP_REASON_"
_RESETS, _RESET_PREFIX = "sk_rst_reason", "SK_RST_REASON_"
_SUBSYSTEMS, _SUBSYSTEM_PREFIX = "skb_drop_reason_subsys", "SKB_DROP_REASON_SUBSYS_"
_SHIFT, _NUMBER = 16, 0xFFFF


class _Enumeration(NamedTuple):
    module: str
    name: str
    prefix: str


#: subsystem -> where its reasons stand
_OTHERS = {
    "openvswitch": _Enumeration("openvswitch", "ovs_drop_reason", "OVS_DROP_"),
    "mac80211_unusable": _Enumeration("mac80211", "mac80211_drop_reason", "RX_DROP_"),
    "mac80211_monitor": _Enumeration("mac80211", "mac80211_drop_reason", "RX_DROP_M_"),
}


class Reason(NamedTuple):
    """Why: the name without its prefix, and whose word it is. A number without a name is told as such."""

    name: str
    subsystem: str


class Reasons:
    """
    Names of the reasons that the running kernel knows.

    :param kernel: its types; None where it does not describe itself: then there are numbers only.
    """

    def __init__(self, kernel: Optional[Kernel]) -> None:
        self._kernel = kernel
        self._names: Dict[str, Dict[int, str]] = {}
        self._drops: Dict[int, Optional[Reason]] = {}

    def drop(self, number: int) -> Optional[Reason]:
        """Name a drop reason; None for 0, which a kernel gives that knows none."""
        if number not in self._drops:
            self._drops[number] = self._drop(number) if number else None
        return self._drops[number]

    def reset(self, number: int) -> Optional[Reason]:
        """Name the reason of an RST; None where the kernel gives none."""
        names = self._enumerators(_RESETS, None)
        if not names:
            return None
        name = names.get(number)
        return Reason(_without(name, _RESET_PREFIX) if name else str(number), _CORE)

    def _drop(self, number: int) -> Reason:
        subsystem = number >> _SHIFT
        if not subsystem:
            name = self._enumerators(_DROPS, None).get(number)
            return Reason(_without(name, _DROP_PREFIX) if name else str(number), _CORE)
        word = self._enumerators(_SUBSYSTEMS, None).get(subsystem)
        if word is None:
            return Reason(str(number & _NUMBER), str(subsystem))
        word = _without(word, _SUBSYSTEM_PREFIX).lower()
        listed = _OTHERS.get(word)
        name = self._enumerators(listed.name, listed.module).get(number) if listed else None
        if listed and name:
            return Reason(_without(name.lstrip("_"), listed.prefix), word)
        return Reason(str(number & _NUMBER), word)

    def _enumerators(self, enumeration: str, module: Optional[str]) -> Dict[int, str]:
        if enumeration not in self._names:
            found = self._kernel.enumerators(enumeration, module) if self._kernel is not None else None
            if found is None and module is not None and self._kernel is not None:
                found = self._kernel.enumerators(enumeration)  # built in
            self._names[enumeration] = found or {}
        return self._names[enumeration]


def _without(name: str, prefix: str) -> str:
    return name[len(prefix) :] if name.startswith(prefix) else name
