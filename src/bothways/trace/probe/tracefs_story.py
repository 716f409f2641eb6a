"""Records of the trace buffers -> events: the packet, where it is, what happened, and why."""

from typing import Callable, Mapping, Optional

from bothways.trace.probe.fetch import Layout
from bothways.trace.probe.reasons import Reasons
from bothways.trace.probe.tracefs_event import Sight, Symbols, Told
from bothways.trace.probe.tracefs_functions import Functions
from bothways.trace.probe.tracefs_points import Points

__all__ = ["Story"]


class Story(Functions, Points):
    """Turns records into events, in the order of time; the parameters are those of :class:`Teller`."""

    def __init__(
        self,
        layout: Optional[Layout],
        symbols: Symbols,
        names: Mapping[str, int],
        reasons: Reasons,
        tasks: Callable[[int], Optional[str]],
    ) -> None:
        super().__init__(layout, symbols, names, reasons, tasks)
        self._frames = {}
        self._answered, self._received, self._received_skb = {}, {}, {}

    def tell(self, sight: Sight) -> Told:
        """
        Make the events of a record, and the packets that they are about.

        Nothing for a record that only adds knowledge.
        """
        kind = sight.placed.way.kind
        if kind == "return":
            return self.left(sight)
        return self.entered(sight) if kind == "kprobe" else self.point(sight)
