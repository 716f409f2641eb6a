"""
What a trace looks at: words of events, and where call stacks are taken.

Those below come with bothways. A file of one's own is TOML::

    events = ["drop", "rst-sent", "hook"]
    stack = "drop"        # all, drop, rst, xmit, none; optional
    filter = "tcp"        # optional, joined to FILTER by "and"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from bothways.facts.kernel_event import Happening

__all__ = ["PROFILES", "STACKS", "Profile", "ProfileError", "read_profile"]

STACKS: Final = ("all", "drop", "rst", "xmit", "none")
_KEYS: Final = frozenset({"events", "stack", "filter", "title"})


class ProfileError(ValueError):
    """A profile that cannot be used. The text says why; *hint* what to do."""

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


@dataclass(frozen=True, slots=True)
class Profile:
    """
    What is looked at.

    :param events: empty = everything that the kernel lets itself be asked.
    :param stack: when a call stack is taken, one of ``STACKS``.
    :param filter: pcap-filter text that belongs to it, "" = none.
    :param unsaid: events that the account and files need, and that are not shown as they come.
    """

    name: str
    title: str
    events: tuple[Happening, ...] = ()
    stack: str = "drop"
    filter: str = ""
    unsaid: tuple[Happening, ...] = ()


_WAY: Final = (Happening.XMIT, Happening.RECEIVE)
_ENDS: Final = (Happening.RST_SENT, Happening.RST_RECEIVED, Happening.ICMP_SENT, Happening.DROP)
#: How a packet ends in peace: what was swallowed without a word is known by it.
_FREED: Final = (Happening.CONSUME,)
_DECIDES: Final = (Happening.IP_RECEIVE, Happening.FORWARD, Happening.LOCAL_DELIVER, Happening.HOOK)
_TRACKS: Final = (Happening.CONNTRACK, Happening.NAT)
_OVS: Final = (
    Happening.OVS_RECEIVE, Happening.OVS_ACTION, Happening.OVS_CONNTRACK, Happening.OVS_UPCALL,
    Happening.VXLAN_ENCAP, Happening.VXLAN_DECAP,
)  # fmt: skip

PROFILES: Final[Mapping[str, Profile]] = MappingProxyType(
    {
        each.name: each
        for each in (
            Profile(
                "reset",
                "who answers with a RST or an ICMP error, and why",
                (*_WAY, *_DECIDES, *_TRACKS, *_ENDS, *_FREED, Happening.SOCKET, Happening.NEIGH),
                "xmit",
                unsaid=_FREED,
            ),
            Profile("drop", "who drops packets, and why", (*_ENDS,), "drop"),
            Profile(
                "nat", "what is translated, and what is not", (*_WAY, *_DECIDES, *_TRACKS, *_ENDS), "drop"
            ),
            Profile(
                "ovs",
                "the kernel's datapath of Open vSwitch",
                (*_WAY, *_OVS, *_ENDS, *_FREED),
                "drop",
                unsaid=_FREED,
            ),
            Profile("all", "everything that can be asked", (), "drop"),
        )
    }
)


def read_profile(text: str) -> Profile:
    """
    Read a profile by name, or from a TOML file.

    :raises ProfileError: if there is none, or if the file is not one.
    """
    if text in PROFILES:
        return PROFILES[text]
    path = Path(text)
    if path.suffix != ".toml":
        close = get_close_matches(text, PROFILES, n=1)
        hint = f"did you mean {close[0]}? " if close else ""
        message = f"no profile `{text}`, expected one of {', '.join(PROFILES)}, or a file FILE.toml"
        raise ProfileError(message, f"{hint}docs/reference/trace.md shows what a file holds")
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise ProfileError(f"`{text}` cannot be read: {(error.strerror or 'unknown').lower()}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ProfileError(f"`{text}` is not TOML: {error}") from error
    return _of_file(path, said)


def _of_file(path: Path, said: Mapping[str, Any]) -> Profile:
    strange = sorted(set(said) - _KEYS)
    if strange:
        raise ProfileError(
            f"`{path}`: `{strange[0]}` is no key of a profile", f"there are {', '.join(sorted(_KEYS))}"
        )
    events = said.get("events", [])
    if not isinstance(events, list) or not all(isinstance(each, str) for each in events):
        raise ProfileError(f"`{path}`: events are a list of words", 'events = ["drop", "rst-sent"]')
    unknown = [each for each in events if each not in set(Happening)]
    if unknown:
        words = ", ".join(Happening)
        raise ProfileError(f"`{path}`: there is no event `{unknown[0]}`", f"events are {words}")
    stack = said.get("stack", "drop")
    if stack not in STACKS:
        raise ProfileError(f"`{path}`: `stack` is one of {', '.join(STACKS)}, not `{stack}`")
    filter_text = said.get("filter", "")
    title = said.get("title", "")
    if not isinstance(filter_text, str) or not isinstance(title, str):
        raise ProfileError(f"`{path}`: `filter` and `title` are texts")
    return Profile(path.stem, title, tuple(Happening(each) for each in events), stack, filter_text)
