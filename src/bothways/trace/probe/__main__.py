"""The probe as a program: ``trace OPTIONS``, ``list OPTIONS``, ``devices``."""

import sys
import time
from typing import Callable, Dict, List

from bothways.trace.probe.btf import Unreadable
from bothways.trace.probe.choose import choose
from bothways.trace.probe.elf import Malformed
from bothways.trace.probe.lines import Lines, ReaderGone
from bothways.trace.probe.listen import listen
from bothways.trace.probe.options import Misused, parse_options
from bothways.trace.probe.privileges import lacking
from bothways.trace.probe.program import Refused
from bothways.trace.probe.syscall import Unsupported
from bothways.trace.probe.trace import Stop, run, start_line

__all__ = ["main"]

_STARTED = time.monotonic()
_MISUSED, _CANNOT = 2, 4
_BUG = "the probe did not expect that; please report it with the kernel's version"
_ALLOWED = "`bothways trace --list` says what this host allows"
_HINT = "run it as root, or with CAP_BPF, CAP_PERFMON and CAP_SYSLOG; tracing is read-only, and nothing stays"


def main(arguments: List[str]) -> int:
    """
    Run one verb; returns 0, or 2 for options that cannot be meant, or 4 for a host that cannot be traced.

    What went wrong is a line ``problem`` on standard output, as everything else.
    """
    lines = Lines(sys.stdout.fileno())
    verb = arguments[0] if arguments else ""
    try:
        return _RUNS.get(verb, _unknown)(arguments[1:], lines)
    except Misused as error:
        return _problem(lines, str(error), error.hint, _MISUSED)
    except (Refused, Unsupported) as error:
        return _problem(lines, str(error), _HINT if lacking() else _ALLOWED, _CANNOT)
    except (Malformed, Unreadable, OSError) as error:
        return _problem(lines, "{}: {}".format(type(error).__name__, error), _BUG, _CANNOT)
    except ReaderGone:
        return 0


def _unknown(_: List[str], __: Lines) -> int:
    raise Misused("trace, list or devices was expected first")


def _trace(arguments: List[str], lines: Lines) -> int:
    options = parse_options(arguments)
    stop = Stop(options.timeout)
    stop.on_signals()
    listen(0, lines, stop.ask if options.stdin_close_stops else None)
    run(options, choose(options), lines, stop, _STARTED)
    return 0


def _list(arguments: List[str], lines: Lines) -> int:
    """Attach, say what is attached and why what is not, and detach."""
    source = choose(parse_options(arguments))
    lines.now(start_line(source))
    source.detach()
    source.close()
    return 0


def _devices(arguments: List[str], lines: Lines) -> int:
    from bothways.trace.probe import devices  # noqa: PLC0415  the other verbs do without, and start the sooner

    return devices.main(arguments, lines)


def _problem(lines: Lines, text: str, hint: str, status: int) -> int:
    lines.now({"type": "problem", "text": text, "hint": hint})
    return status


_RUNS: Dict[str, Callable[[List[str], Lines], int]] = {"trace": _trace, "list": _list, "devices": _devices}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
