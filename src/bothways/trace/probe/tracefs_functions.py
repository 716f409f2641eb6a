"""
Functions that a packet enters and leaves, as kprobes show them.

What a function returns is known at its end, and what it was called with at its beginning; both meet here.
INVALID is said where the return of the tracker's own function was seen, or what the packet carries behind
the tracker.
"""

from typing import Callable, Dict, List, Optional, Tuple

from bothways.trace.probe.fetch import Glimpse, glimpse
from bothways.trace.probe.life import Life
from bothways.trace.probe.packet import Packet, ip_packet
from bothways.trace.probe.tracefs_event import ANSWERS, RESETS, Sight, Teller, Told
from bothways.trace.probe.tracker_entry import conntrack_words

__all__ = ["Functions"]

_VERDICTS = {0: "DROP", 1: "ACCEPT", 2: "STOLEN", 3: "QUEUE", 4: "REPEAT"}
_DEEPEST = 64  # functions entered and not left, of one task on one CPU
_INVALID = -1  # what nf_conntrack_tcp_packet returns for it: -NF_ACCEPT


class _Frame:
    """A function that was entered, and is not left."""

    __slots__ = ("function", "hook", "invalid", "life", "mark", "skb", "words")

    def __init__(self, function: str, life: Optional[Life]) -> None:
        self.function = function
        self.life = life
        self.hook: Optional[str] = None
        self.skb: Optional[int] = None
        self.invalid = False
        self.words: Optional[Dict[str, object]] = None
        self.mark: Optional[int] = None


class Functions(Teller):
    """Tells of functions."""

    _frames: Dict[Tuple[int, int], List[_Frame]]

    def entered(self, sight: Sight) -> Told:
        """Tell of a function's beginning, if that is an event; note what it was called with."""
        tap, form = sight.placed.tap, sight.placed.form
        shown = glimpse(form, sight.data, self._layout)
        life = self._life(shown, sight.time) if shown is not None else None
        words = conntrack_words(shown.information, shown.entry) if shown is not None else None
        if life is not None and shown is not None:
            self._answer_of_tracker(life, shown, words)
        if not tap.event:
            self._enter(sight, life, shown, words)
            return []
        if tap.probe in RESETS and life is not None and _is_reset(life.packet):
            return []  # no RST answers a RST: the function looks, and leaves
        if tap.event in ANSWERS and life is not None:
            self.lives.answered(life, sight.time)
        event = self._event(sight, life)
        event.update(
            function=tap.probe,
            conntrack=words,
            mark=shown.mark if shown is not None else None,
            length=shown.length if shown is not None else None,
            hook=self._hook(form, sight.data),
        )
        event.update(self._reason(form, sight.data, of_reset=True))
        if form.has("type", "code"):
            event["detail"] = {
                "type": form.number(sight.data, "type"),
                "code": form.number(sight.data, "code"),
            }
        return [(event, life)]

    def _enter(
        self, sight: Sight, life: Optional[Life], shown: Optional[Glimpse], words: Optional[Dict[str, object]]
    ) -> None:
        frames = self._frames.setdefault(self._task_key(sight), [])
        frame = _Frame(sight.placed.tap.probe, life)
        frame.hook = self._hook(sight.placed.form, sight.data)
        frame.words = words
        frame.mark = shown.mark if shown is not None else None
        frame.skb = shown.skb if shown is not None else None
        frames.append(frame)
        del frames[:-_DEEPEST]

    @staticmethod
    def _task_key(sight: Sight) -> Tuple[int, int]:
        return sight.cpu, sight.placed.form.number(sight.data, "common_pid") or 0

    def left(self, sight: Sight) -> Told:
        """Tell of a function's end."""
        function = sight.placed.tap.probe
        frames = self._frames.get(self._task_key(sight), [])
        at = next((at for at in range(len(frames) - 1, -1, -1) if frames[at].function == function), None)
        returned = sight.placed.form.number(sight.data, "ret")
        if at is None:
            return []  # it was entered before tracing began
        frame = frames[at]
        del frames[at:]
        return _LEAVERS[function](self, sight, frame, frames, returned)

    def left_hook(self, sight: Sight, frame: _Frame, _frames: List[_Frame], returned: Optional[int]) -> Told:
        """
        Say what a hook did with the packet.

        The function nf_hook_slow returns 1 to go on, below 0 where it dropped it.
        """
        event = self._event(sight, frame.life)
        verdict = "ACCEPT" if returned == 1 else "DROP" if returned is not None and returned < 0 else None
        event.update(
            function="nf_hook_slow", hook=frame.hook, conntrack=frame.words, mark=frame.mark, verdict=verdict
        )
        event.update(skb=hex(frame.skb) if frame.skb else None, detail={"returned": returned})
        return [(event, frame.life)]

    def left_tracker(
        self, sight: Sight, frame: _Frame, _frames: List[_Frame], returned: Optional[int]
    ) -> Told:
        """Say what the tracker said; INVALID only where its function for TCP was seen to say so."""
        event = self._event(sight, frame.life)
        verdict = _VERDICTS.get(returned) if returned is not None else None
        event.update(function="nf_conntrack_in", hook=frame.hook, mark=frame.mark, verdict=verdict)
        event["skb"] = hex(frame.skb) if frame.skb else None
        if frame.invalid:
            event["conntrack"] = dict(_no_entry(), info="INVALID")
        elif verdict == "ACCEPT" and frame.life is not None:
            frame.life.tracked = event
        return [(event, frame.life)]

    @staticmethod
    def _answer_of_tracker(life: Life, shown: Glimpse, words: Optional[Dict[str, object]]) -> None:
        """
        Complete the tracker's event by what the packet carries when it is seen next, in the same namespace.

        Without an entry, and not marked as untracked, the packet is what rules call INVALID.
        """
        event, life.tracked = life.tracked, None
        if event is None or words is None or shown.netns != event["netns_inode"]:
            return
        invalid = shown.information is not None and shown.information < 0
        event["conntrack"] = dict(_no_entry(), info="INVALID") if invalid else words

    def left_tracker_of_tcp(
        self, _sight: Sight, _frame: _Frame, frames: List[_Frame], returned: Optional[int]
    ) -> Told:
        """Note at the tracker's own frame that TCP's part of it found the segment invalid."""
        if returned == _INVALID and frames and frames[-1].function == "nf_conntrack_in":
            frames[-1].invalid = True
        return []

    def left_clone(self, sight: Sight, frame: _Frame, _frames: List[_Frame], returned: Optional[int]) -> Told:
        """Begin the life of a copy."""
        if not returned or frame.life is None:
            return []
        self.lives.end(returned)
        copy = self.lives.get(returned, frame.life.packet, sight.time)
        copy.clone_of, copy.matched = frame.life.number, frame.life.matched
        copy.device, copy.ifindex, copy.netns = frame.life.device, frame.life.ifindex, frame.life.netns
        event = self._event(sight, copy)
        event.update(function="skb_clone", skb=hex(returned))
        return [(event, copy)]

    def _life(self, shown: Glimpse, time: int) -> Life:
        packet = ip_packet(shown.window[shown.network :]) if shown.network is not None else None
        life = self.lives.get(shown.skb, packet, time)
        self._place(life, shown.device, shown.ifindex, shown.netns)
        return life


def _is_reset(packet: Optional[Packet]) -> bool:
    flags = packet.get("flags") if packet is not None else None
    return isinstance(flags, str) and "R" in flags


def _no_entry() -> Dict[str, object]:
    return dict.fromkeys(("info", "status", "state", "mark", "zone", "original", "reply"))


Leaver = Callable[[Functions, Sight, _Frame, List[_Frame], Optional[int]], Told]

_LEAVERS: Dict[str, Leaver] = {
    "nf_hook_slow": Functions.left_hook,
    "nf_conntrack_in": Functions.left_tracker,
    "nf_conntrack_tcp_packet": Functions.left_tracker_of_tcp,
    "skb_clone": Functions.left_clone,
}
