"""
Names of kernel addresses: ``/proc/kallsyms``, the modules' among them.

The file has 120,000 lines and more, so it is read when the first address is asked for, and its lines are
kept as they are: sixteen digits in front make them sort by address.
"""

from bisect import bisect_right
from typing import Dict, Iterable, List, Optional

__all__ = ["Symbols", "cut"]

_FILE = "/proc/kallsyms"
_RESTRICTED = "/proc/sys/kernel/kptr_restrict"
_DIGITS = 16
_FARTHEST = 1 << 20  # no function is that long: the address is beyond the last symbol
_OF_TEXT = b"tTwW"

#: who calls the network stack after a device has raised the soft interrupt; what lies below belongs to a
#: task that was interrupted and has nothing to do with the packet
_BOUNDARY = frozenset(
    {
        "__napi_poll",
        "napi_poll",
        "net_rx_action",
        "net_tx_action",
        "__do_softirq",
        "handle_softirqs",
        "run_ksoftirqd",
        "do_softirq",
        "run_timer_softirq",
        "call_timer_fn",
    }
)

#: how tracing itself shows at the top of a stack
_OWN = (
    "bpf_",
    "__bpf_trace_",
    "__traceiter_",
    "trace_call_bpf",
    "trace_event_",
    "ftrace_",
    "kprobe_",
    "kretprobe_",
    "perf_",
    "__perf_",
)


class Symbols:
    """
    The functions of the running kernel by address.

    :param text: lines as ``/proc/kallsyms`` has them; None reads that file when it is first needed.

    ``why_not`` says why nothing has a name, and ``hint`` what to do.
    """

    def __init__(self, text: Optional[bytes] = None) -> None:
        self._text = text
        self._lines: Optional[List[bytes]] = None
        self._known: Dict[int, Optional[str]] = {}
        self.why_not: Optional[str] = None
        self.hint = "run it as root, with CAP_SYSLOG"

    def read(self) -> None:
        """Read the table now; ``why_not`` then says why there are no names, if there are none."""
        if self._lines is not None:
            return
        if self._text is None:
            try:
                with open(_FILE, "rb") as file:
                    self._text = file.read()
            except OSError as error:
                self._text = b""
                self.why_not = "{}: {}".format(_FILE, error.strerror)
        lines = [line for line in self._text.split(b"\n") if line[17:18] in _OF_TEXT and len(line) > _DIGITS]
        lines.sort()
        hidden = b"0" * _DIGITS
        if lines and lines[-1].startswith(hidden):
            lines = []
            self.why_not = (
                "the kernel hides its addresses (kernel.kptr_restrict); reading them needs CAP_SYSLOG"
            )
            if _restricted() == "2":
                self.why_not = "the kernel hides its addresses from everybody (kernel.kptr_restrict=2)"
                self.hint = "`sysctl kernel.kptr_restrict=1` shows them to root"
        elif not lines and self.why_not is None:
            self.why_not = "{} lists no functions".format(_FILE)
        self._lines, self._text = lines, b""

    def __call__(self, address: int) -> Optional[str]:
        """Name an address: ``tcp_v4_rcv+0x91``; None where no symbol is near."""
        if address not in self._known:
            self._known[address] = self._find(address)
        return self._known[address]

    def _find(self, address: int) -> Optional[str]:
        if self._lines is None:
            self.read()
        lines = self._lines or []
        at = bisect_right(lines, b"%016x\xff" % address) - 1
        if at < 0:
            return None
        parts = lines[at].split()
        offset = address - int(parts[0], 16)
        if offset > _FARTHEST:
            return None
        name = parts[2].decode("ascii", "replace")
        return "{}+{:#x}".format(name, offset) if offset else name

    def function(self, address: int) -> Optional[str]:
        """Name the function at an address, without the offset."""
        name = self(address)
        return name.partition("+")[0] if name else None

    def address(self, name: str) -> Optional[int]:
        """Find the address of a function by its name; None where there is none, or more than one."""
        if self._lines is None:
            self.read()
        wanted = name.encode("ascii", "replace")
        found = {line[:_DIGITS] for line in self._lines or () if line.split()[2] == wanted}
        return int(found.pop(), 16) if len(found) == 1 else None

    def stack(self, addresses: Iterable[int]) -> List[str]:
        """
        Name a stack, innermost first, without tracing's own frames, cut at the soft interrupt.

        Empty where nothing has a name: which frames are tracing's own then nobody knows.
        """
        self.read()
        if not self._lines:
            return []
        return cut([self(address) or "{:#x}".format(address) for address in addresses])


def _restricted() -> str:
    try:
        with open(_RESTRICTED, encoding="ascii") as file:
            return file.read().strip()
    except OSError:
        return ""


def cut(stack: List[str]) -> List[str]:
    """Cut a stack at the soft interrupt, and take tracing's own frames off its top."""
    names = [frame.partition("+")[0] for frame in stack]
    first = 0
    while first < len(names) and names[first].startswith(_OWN):
        first += 1
    for at in range(first, len(names)):
        if names[at] in _BOUNDARY:
            return stack[first:at]
    return stack[first:]
