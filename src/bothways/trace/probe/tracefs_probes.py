"""
Tracing without BPF: the kernel's own trace events, read from buffers of our own.

Every tracer of the machine may use tracefs at once: events are enabled in *instances* that belong to this
process alone, one with call stacks and one without, and kprobes stand in a group of their own. Both carry
the process's number in their names, and go with it: at any end that Python sees, and else when the next
probe starts. An instance whose buffers somebody reads cannot be removed, so a probe that lives is safe from
that.
"""

import atexit
import errno
import os
import time
from typing import Dict, FrozenSet, List, Optional, Tuple

from bothways.trace.probe.fetch import Layout, definition, registers
from bothways.trace.probe.kernel import Kernel
from bothways.trace.probe.program import Refused
from bothways.trace.probe.tracefs_buffer import Buffer
from bothways.trace.probe.tracefs_event import Placed, Sight
from bothways.trace.probe.tracefs_format import read_format
from bothways.trace.probe.tracefs_mount import leftovers, read_text, remove_kprobe, write_text
from bothways.trace.probe.tracefs_tap import TAPS, Tap, Way, symbols_of

__all__ = ["Tracing"]

#: which events get call stacks, by the word of ``--stack``
_POLICIES: Dict[str, Optional[FrozenSet[str]]] = {
    "all": None,
    "drop": frozenset({"drop", "rst"}),
    "rst": frozenset({"rst"}),
    "xmit": frozenset({"xmit", "drop", "rst"}),
    "none": frozenset(),
}


class Tracing:
    """
    Probes in instances of our own, from the first to the last.

    :param root: where tracefs is mounted.
    :param layout: offsets of the kernel's structures; None where it does not tell them.
    :param kernel: asked for positions of arguments; None where it has no BTF.
    :param policy: which events get call stacks: ``all``, ``drop``, ``rst``, ``xmit`` or ``none``.
    :param wanted: event words; None takes all.
    :param buffer_size: of all CPUs together, in bytes.
    """

    def __init__(
        self,
        root: str,
        layout: Optional[Layout],
        kernel: Optional[Kernel],
        policy: str = "drop",
        wanted: Optional[List[str]] = None,
        buffer_size: int = 16 << 20,
    ) -> None:
        self.placed: Dict[int, Placed] = {}
        self.probes: List[Dict[str, object]] = []
        self._root, self._layout, self._kernel = root, layout, kernel
        self._stacked = _POLICIES.get(policy, _POLICIES["drop"])
        self._wanted = wanted
        self._size = buffer_size
        self._group = "bothways_{}".format(os.getpid())
        self._buffers: List[Buffer] = []
        self._defined: List[str] = []
        self._held: List[Sight] = []
        self._closed = False

    def start(self) -> None:
        """
        Remove what dead probes left, make the instances, place and enable all probes.

        :raises Refused: if no instance can be made.
        """
        leftovers(self._root)
        atexit.register(self.close)
        name = "bothways-{}".format(os.getpid())
        try:
            for suffix, stacks in (("", False), ("-stacks", True)):
                self._buffers.append(
                    Buffer(os.path.join(self._root, "instances", name + suffix), stacks=stacks)
                )
            for buffer in self._buffers:
                buffer.make(self._size // 2)
        except OSError as error:
            self.close()
            raise Refused(
                "tracefs at {} takes no instance: {}".format(self._root, error.strerror or error),
                error.errno or 0,
            ) from error
        for number, tap in enumerate(TAPS):
            if self._asked(tap):
                self._place(number, tap)
        for buffer in self._buffers:
            buffer.open()

    def _asked(self, tap: Tap) -> bool:
        """
        Glimpses are placed for what they tell of others.

        Ends of lives always, because buffers are used again.
        """
        return (
            self._wanted is None
            or not tap.event
            or tap.event in self._wanted
            or tap.event in {"drop", "consume"}
        )

    def _place(self, number: int, tap: Tap) -> None:
        why = "this kernel has no such event"
        ways = list(tap.ways)
        if self._layout is None:  # a kprobe would show no headers: the tracepoint tells at least the device
            ways.sort(key=lambda way: way.kind == "kprobe")
        placed = None
        for way in ways:
            try:
                placed = self._enable(number, tap, way)
            except OSError as error:
                why = self._why(way, error)
                continue
            break
        if tap.event:
            self.probes.append(
                {
                    "probe": tap.probe,
                    "tier": "tracefs",
                    "event": tap.event,
                    "attached": placed is not None,
                    "why_not": None if placed is not None else why,
                }
            )

    def _why(self, way: Way, error: OSError) -> str:
        if not error.errno:
            return str(error)
        if way.kind == "tracepoint":
            return "this kernel has no event {}".format(way.target.replace("/", ":", 1))
        if not os.path.exists(os.path.join(self._root, "kprobe_events")):
            return "this kernel has no kprobes (CONFIG_KPROBE_EVENTS)"
        if error.errno == errno.ENOENT:
            return "this kernel has no function {}, or its module is not loaded".format(way.target)
        return "no kprobe on {}: {}".format(way.target, error.strerror)

    def _enable(self, number: int, tap: Tap, way: Way) -> Placed:
        """
        Define the probe where it is a kprobe.

        Read its format, enable it in the instance that its policy asks for.
        """
        symbol, event = way.target, way.target
        if way.kind != "tracepoint":
            symbol, event = self._define(number, way)
        form = read_format(read_text(os.path.join(self._root, "events", event, "format")))
        if form is None:
            raise OSError("its format cannot be read")
        if tap.probe == "tcp:tcp_send_reset" and not form.has("reason") and self._layout is not None:
            raise OSError("before Linux 6.10 it misses resets without a socket; the functions are probed")
        if tap.event == "rst-sent" and way.extra == "reason" and self._tells_resets():
            tap = tap._replace(
                event=""
            )  # the tracepoint tells the same, with more; this one shows the headers
        placed = Placed(tap, way, symbol, form)
        stacked = self._stacked is None or tap.stack in self._stacked
        if tap.event == "xmit" and self._layout is None and self._stacked != frozenset():
            stacked = True  # without headers the stack alone says what is sent
        self._buffers[1 if stacked and tap.event else 0].enable(event)
        self.placed[form.id] = placed
        return placed

    def _tells_resets(self) -> bool:
        """
        Whether the tracepoint of resets fires for those without a socket.

        With the reason came that too (6.10).
        """
        try:
            form = read_format(
                read_text(os.path.join(self._root, "events", "tcp", "tcp_send_reset", "format"))
            )
        except OSError:
            return False
        return form is not None and form.has("reason", "skbaddr")

    def _define(self, number: int, way: Way) -> Tuple[str, str]:
        """Write the definition of a kprobe, under the first of the function's names that the kernel knows."""
        event = "{}/p{}_{}".format(
            self._group, number, "".join(c if c.isalnum() else "_" for c in way.target)
        )
        way = self._positioned(way)
        path = os.path.join(self._root, "kprobe_events")
        problem: Optional[OSError] = None
        for symbol in symbols_of(way.target):
            line = definition(way, symbol, event, self._layout, registers())
            refused = _written(path, line)
            if refused is None:
                self._defined.append(event)
                return symbol, event
            problem = problem or refused  # what is said of the function's own name counts
        raise problem or OSError(errno.ENOENT, os.strerror(errno.ENOENT))

    def _positioned(self, way: Way) -> Way:
        """Take positions of arguments from the kernel's own declaration of the function, where it has one."""
        if self._kernel is None or way.kind != "kprobe":
            return way
        arguments = self._kernel.function(way.target)
        if arguments is None:
            return way
        types = [each.type for each in arguments]
        wanted = "sk_buff **" if way.indirect else "sk_buff *"
        if way.skb >= 0 and wanted in types:
            way = way._replace(skb=types.index(wanted))
        if way.extra == "reason" and "sk_rst_reason" not in types:
            way = way._replace(extra="")
        return way

    # -- reading
    # -----------------------------------------------------------------------------------------------------

    def read(self) -> List[Sight]:
        """
        Take what all buffers hold, in the order of time.

        What was recorded while this call read is kept for the next one: on another CPU something earlier
        may still come.
        """
        return self._ordered(_now())

    def rest(self) -> List[Sight]:
        """Stop tracing, and take all that is left."""
        for buffer in self._buffers:
            buffer.stop()
        return self._ordered(None)

    def _ordered(self, until: Optional[int]) -> List[Sight]:
        sights = self._held
        for buffer in self._buffers:
            sights.extend(buffer.read(self.placed, last=until is None))
        sights.sort(key=lambda sight: sight.time)
        ready = sights if until is None else [sight for sight in sights if sight.time <= until]
        self._held = sights[len(ready) :]
        return ready

    def lost(self) -> int:
        """How many records the kernel threw away because a buffer was full, so far."""
        return sum(buffer.lost() for buffer in self._buffers)

    def close(self) -> None:
        """Remove the instances and the kprobes; doing it twice is no harm."""
        if self._closed:
            return
        self._closed = True
        for buffer in self._buffers:
            buffer.remove()
        for event in self._defined:
            remove_kprobe(self._root, event)  # what cannot be removed now is removed by the next start


def _written(path: str, line: str) -> Optional[OSError]:
    """Add a line to a list of probes; the kernel's answer if it does not take it."""
    try:
        write_text(path, line + "\n", append=True)
    except OSError as error:
        return error
    return None


def _now() -> int:
    return int(time.clock_gettime(time.CLOCK_MONOTONIC) * 1_000_000_000)
