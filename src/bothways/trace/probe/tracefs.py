"""
The tier for kernels without BPF or BTF.

Trace events of the kernel itself, as a source of events for the probe.

The kernel part does not filter here; packets are chosen from what their events show. What it cannot know is
None.
"""

import os
import time
from typing import Any, Dict, List, Optional, Set

from bothways.trace.probe.asked_devices import AskedDevices
from bothways.trace.probe.btf import Unreadable
from bothways.trace.probe.fetch import Layout, read_layout
from bothways.trace.probe.hostns import Namespaces
from bothways.trace.probe.kernel import Kernel
from bothways.trace.probe.life import Ends, Life, known_ends
from bothways.trace.probe.match import Matcher
from bothways.trace.probe.netns_devices import lone_devices
from bothways.trace.probe.options import Options
from bothways.trace.probe.packet import Packet
from bothways.trace.probe.program import Refused
from bothways.trace.probe.reasons import Reasons
from bothways.trace.probe.symbols import Symbols
from bothways.trace.probe.syscall import Unsupported
from bothways.trace.probe.tracefs_mount import find_tracefs, mount_privately
from bothways.trace.probe.tracefs_probes import Tracing
from bothways.trace.probe.tracefs_story import Story

__all__ = ["Tracefs"]

_TASKS = 4096  # names of processes kept
_FLOWS = 65536  # connections kept that were found to be asked for, as both sides of a translation know them
_REFRESH = 1.0  # seconds between readings of the namespaces' devices
_RARE = frozenset({"drop", "rst-sent", "icmp-sent"})  # told though their headers are not shown


class Tracefs:
    """
    A source of events, as records of BPF programs are one.

    :param kernel: the kernel's types; None where it does not describe them: then kprobes show no headers.
    :param symbols: an address -> ``function+0x1``; and ``stack``, which cuts a stack.
    :param devices: the names of devices that one namespace alone has -> its inode; asked again when a name
        is new.
    :param name: a namespace's inode -> its name.
    """

    def __init__(
        self,
        kernel: Optional[Kernel],
        symbols: Symbols,
        namespaces: Namespaces,
        options: Options,
    ) -> None:
        self.seen = 0
        self._kernel, self._symbols, self._options = kernel, symbols, options
        self._namespaces = namespaces
        self._devices: Dict[str, int] = {}
        self._devices_at = 0.0
        self._tasks: Dict[int, Optional[str]] = {0: "swapper"}
        self._matcher = Matcher(options.filter)
        self._places = AskedDevices(options.devices)
        self._flows: Set[Ends] = set()
        self._asked_for: Set[int] = set()
        self._tracing: Optional[Tracing] = None
        self._story: Optional[Story] = None

    @property
    def probes(self) -> List[Dict[str, object]]:
        """Rows of the start line."""
        return self._tracing.probes if self._tracing is not None else []

    def start(self) -> None:
        """
        Place the probes.

        :raises Refused: where the kernel does not let us; the text says why.
        """
        root = find_tracefs()
        if root is None:
            try:
                root = mount_privately()
            except OSError as error:
                raise Refused(
                    "tracefs is not mounted, and cannot be: {}".format(error.strerror), error.errno or 0
                ) from error
        layout = self._layout(root)
        self._tracing = Tracing(
            root,
            layout,
            self._kernel,
            self._options.stack,
            self._options.events or None,
            self._options.ring_size,
        )
        self._refresh()
        self._story = Story(layout, self._symbols, self._devices, self._reasons(), self._task)
        self._tracing.start()

    def _layout(self, root: str) -> Optional[Layout]:
        if self._kernel is None or not os.path.exists(os.path.join(root, "kprobe_events")):
            return None
        try:
            layout = read_layout(self._kernel)
        except (Unsupported, Unreadable):
            return None  # without BTF nobody says where a packet's headers are
        return layout if layout.has("sk_buff.head", "sk_buff.data", "sk_buff.network_header") else None

    def _reasons(self) -> Reasons:
        try:
            return Reasons(self._kernel if self._kernel is not None and self._kernel.btf else None)
        except (Unsupported, Unreadable):
            return Reasons(None)

    def poll(self, seconds: float) -> List[Dict[str, object]]:
        """Wait, and return the events that are asked for, in the order of time."""
        time.sleep(seconds)
        return self._events(last=False)

    def rest(self) -> List[Dict[str, object]]:
        """Stop, and return the events that are left."""
        return self._events(last=True)

    def _events(self, *, last: bool) -> List[Dict[str, object]]:
        if self._tracing is None or self._story is None:
            return []
        sights = self._tracing.rest() if last else self._tracing.read()
        self.seen += len(sights)
        found: List[Dict[str, object]] = []
        for sight in sights:
            found += [
                self._finished(event, sight.stack)
                for event, life in self._story.tell(sight)
                if self._asked(event, life)
            ]
        return found

    def _finished(self, event: Dict[str, object], stack: Any) -> Dict[str, object]:
        inode = event["netns_inode"]
        if isinstance(inode, int):
            event["netns"] = self._namespaces.name(inode)
        if stack is not None:
            frames = self._symbols.stack(stack)
            event["stack"] = frames
            if event["function"] is None and frames and event["event"] not in {"xmit", "receive"}:
                event["function"] = str(frames[0]).partition("+")[0]
        return event

    # -- what is asked for
    # -------------------------------------------------------------------------------------------

    def _asked(self, event: Dict[str, object], life: Optional[Life]) -> bool:
        """Whether the event is one that the user wants; a packet that was asked for once stays so."""
        device = event["device"]
        if isinstance(device, str) and device not in self._devices:
            self._refresh()
        wanted = self._options.events
        if wanted and event["event"] not in wanted:
            return False
        if not wanted and event["event"] == "consume":
            return False  # the end of a packet is noted, and told only to who asks for it
        if not self._of_a_packet(event):
            return False
        return self._matches(event, life) and self._in_place(event)

    @staticmethod
    def _of_a_packet(event: Dict[str, object]) -> bool:
        """Buffers of netlink and of local sockets are freed too: they have neither headers nor a device."""
        return (
            event["packet"] is not None
            or event["device"] is not None
            or event["event"] not in {"drop", "consume"}
        )

    def _matches(self, event: Dict[str, object], life: Optional[Life]) -> bool:
        if self._matcher.everything:
            if life is not None:
                life.matched = True
            return True
        if life is not None and life.matched and self._options.follow_nat:
            self._learn(event)
            return True
        packets = [each for each in (event["packet"], event["before"]) if isinstance(each, dict)]
        if self._options.follow_nat:
            packets += _tuples(event["conntrack"])
        matched = any(self._matcher.takes(each) for each in packets)
        if not matched and self._options.follow_nat:
            matched = any(known_ends(each) in self._flows for each in packets[:1])
        if not matched and event["packet"] is None:
            matched = event["provoked_by"] in self._asked_for  # an answer without headers
            if not matched and event["event"] in _RARE and event["before"] is None:
                # Nobody can say whose packet this is, and it may be the one: it is told, and marked.
                detail = event.get("detail")
                event["detail"] = dict(detail if isinstance(detail, dict) else {}, unfiltered=True)
                return True
        if matched and life is not None:
            life.matched = True
            self._asked_for.add(life.number)
        if matched and self._options.follow_nat:
            self._learn(event)
        return matched

    def _learn(self, event: Dict[str, object]) -> None:
        """Keep the connection as both sides of a translation know it, so that answers are found on either."""
        for kept in (self._flows, self._asked_for):
            if len(kept) > _FLOWS:
                kept.clear()
        for each in (event["packet"], event["before"], *_tuples(event["conntrack"])):
            ends = known_ends(each) if isinstance(each, dict) else None
            if ends is not None:
                self._flows.add(ends)

    def _in_place(self, event: Dict[str, object]) -> bool:
        if self._options.netns and event["netns_inode"] not in self._options.netns:
            return False
        return self._places.takes(event)

    # -- names ---------------------------------------------------------------------------------------------
    # ----------

    def _refresh(self) -> None:
        now = time.monotonic()
        if self._devices_at and now - self._devices_at < _REFRESH:
            return
        self._devices_at = now
        self._devices.clear()
        self._devices.update(lone_devices())

    def _task(self, number: int) -> Optional[str]:
        if number not in self._tasks:
            if len(self._tasks) >= _TASKS:
                self._tasks.clear()
            self._tasks[number] = _comm(number)
        return self._tasks[number]

    @property
    def lost(self) -> int:
        """How many records the kernel threw away so far."""
        return self._tracing.lost() if self._tracing is not None else 0

    def close(self) -> None:
        """Remove all that was placed."""
        if self._tracing is not None:
            self._tracing.close()


def _comm(number: int) -> Optional[str]:
    try:
        with open("/proc/{}/comm".format(number), encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def _tuples(entry: object) -> List[Packet]:
    """Both directions of the tracker's entry, as packets that a filter can take."""
    if not isinstance(entry, dict):
        return []
    found: List[Packet] = []
    for key in ("original", "reply"):
        each = entry.get(key)
        if isinstance(each, dict):
            packet: Packet = dict.fromkeys(("flags", "inner", "quoted"))
            packet.update(each, family=6 if ":" in str(each["source"]) else 4)
            found.append(packet)
    return found
