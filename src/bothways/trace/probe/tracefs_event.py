"""
Events of the tracefs tier: what every record gives one, whichever probe it is of.

Only what a record proves is said. In which namespace something happened is told by the packet's device or
socket, or by the device's name where only one namespace has such a device.
"""

from typing import Callable, Dict, List, Mapping, NamedTuple, Optional, Tuple

from bothways.trace.probe.fetch import Layout
from bothways.trace.probe.life import Life, Lives
from bothways.trace.probe.reasons import Reasons
from bothways.trace.probe.tracefs_format import Format
from bothways.trace.probe.tracefs_tap import Tap, Way

__all__ = [
    "ANSWERS",
    "NETFILTER_RESETS",
    "RESETS",
    "TCP_RESETS",
    "Event",
    "Placed",
    "Sight",
    "Symbols",
    "Teller",
    "Told",
]

Event = Dict[str, object]
Told = List[Tuple[Event, Optional[Life]]]
Symbols = Callable[[int], Optional[str]]

TCP_RESETS = frozenset({"tcp_v4_send_reset", "tcp_v6_send_reset"})
NETFILTER_RESETS = frozenset({"nf_send_reset", "nf_send_reset6"})
RESETS = TCP_RESETS | NETFILTER_RESETS
#: events of a packet that is being answered
ANSWERS = frozenset({"rst-sent", "icmp-sent"})

#: by family of the hook (NFPROTO_IPV4, NFPROTO_IPV6, NFPROTO_BRIDGE): enum nf_inet_hooks
_HOOKS = ("PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING")
_HOOK_FAMILIES = frozenset({2, 7, 10})


class Placed(NamedTuple):
    """
    A probe that is placed.

    What it is, the way that was taken, the function or tracepoint, and its record's format.
    """

    tap: Tap
    way: Way
    symbol: str
    form: Format


class Sight(NamedTuple):
    """
    One record.

    When, on which CPU, by which probe, its bytes, and the return addresses of its stack if it has one.
    """

    time: int
    cpu: int
    placed: Placed
    data: bytes
    stack: Optional[Tuple[int, ...]]


class Teller:
    """
    What all records need to become events.

    :param symbols: an address -> ``function+0x1``, None where no function is there.
    :param names: a device's name -> the inode of the one namespace that has it; it is not in there if
        several have.
    :param reasons: names of reasons, by the kernel's types.
    :param tasks: a process number -> its name.
    """

    def __init__(
        self,
        layout: Optional[Layout],
        symbols: Symbols,
        names: Mapping[str, int],
        reasons: Reasons,
        tasks: Callable[[int], Optional[str]],
    ) -> None:
        self.lives = Lives()
        self._layout = layout
        self._symbols = symbols
        self._names = names
        self._reasons = reasons
        self._tasks = tasks

    def _place(self, life: Life, device: Optional[str], ifindex: Optional[int], netns: Optional[int]) -> None:
        if device:
            if device != life.device:
                life.ifindex = None
                life.netns = self._names.get(device)
            life.device = device
        life.ifindex = ifindex or life.ifindex
        life.netns = netns or life.netns

    def _hook(self, form: Format, data: bytes) -> Optional[str]:
        hook, family = form.number(data, "hook"), form.number(data, "pf")
        if hook is None or family not in _HOOK_FAMILIES or hook >= len(_HOOKS):
            return None
        return _HOOKS[hook]

    def _reason(self, form: Format, data: bytes, *, of_reset: bool) -> Event:
        """Why something was dropped or reset, and whose word that is."""
        value = form.number(data, "reason")
        if value is None:
            return {"reason": None, "reason_subsystem": None}
        found = self._reasons.reset(value) if of_reset else self._reasons.drop(value)
        word = form.word(data, "reason")
        if found is None or (found.name.isdigit() and word is not None):
            return {"reason": word or str(value), "reason_subsystem": "core" if value >> 16 == 0 else None}
        return {"reason": found.name, "reason_subsystem": found.subsystem}

    def _event(self, sight: Sight, life: Optional[Life]) -> Event:
        number = sight.placed.form.number(sight.data, "common_pid")
        skb = sight.placed.form.number(sight.data, "skb") or sight.placed.form.number(sight.data, "skbaddr")
        stack = None
        if sight.stack is not None:
            stack = [self._symbols(each) or hex(each) for each in sight.stack]
        return {
            "type": "event",
            "time_ns": sight.time,
            "cpu": sight.cpu,
            "task": self._tasks(number) if number is not None else None,
            "tier": "tracefs",
            "probe": sight.placed.tap.probe
            if sight.placed.way.kind != "tracepoint"
            else _colon(sight.placed.symbol),
            "event": sight.placed.tap.event,
            "function": None,
            "netns": None,
            "netns_inode": life.netns if life is not None else None,
            "device": life.device if life is not None else None,
            "ifindex": life.ifindex if life is not None else None,
            "skb": hex(skb) if skb else None,
            "packet_id": life.number if life is not None else None,
            "provoked_by": life.provoked_by if life is not None else None,
            "clone_of": life.clone_of if life is not None else None,
            "mark": None,
            "length": None,
            "packet": life.packet if life is not None else None,
            "before": life.before if life is not None else None,
            "conntrack": None,
            "hook": None,
            "verdict": None,
            "reason": None,
            "reason_subsystem": None,
            "location": None,
            "rule": None,
            "stack": stack,
        }


def _colon(symbol: str) -> str:
    return symbol.replace("/", ":", 1)
