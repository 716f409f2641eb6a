"""
A command line in a pasted terminal: what its output is, of which place, and what of it is not shown.

``ip netns exec NS``, ``ip -n NS``, ``nsenter --net=…``, ``ssh HOST``, ``sudo``, ``timeout 9`` and their like
stand before the command proper; what they say of the place is kept. A container's own namespace has no name
outside, so ``docker exec`` makes the place unknown, unless a namespace is named inside. What stands behind a
pipe makes the output a filtered view; behind ``>`` there is none.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from bothways.parse.programs import PROGRAMS, Output

__all__ = ["Command", "read_command"]


@dataclass(frozen=True, slots=True)
class Command:
    """
    One command line.

    :param text: as it was typed.
    :param output: what its program prints, None if that is not known.
    :param host: the machine that ``ssh`` names, None if the prompt's.
    :param netns: the namespace it ran in, ``root`` for the host's own, "" for the session's, None if nobody
        knows.
    :param container: the container that ``docker exec`` and its like name, "" if none.
    :param view: what was left of the output (``grep 88.4``), None if all.
    :param elsewhere: True if the output went into a file and is not here.
    :param enters: True if it opens a shell in the place that it names, and the next prompts are of it.
    :param leaves: True for ``exit``.
    """

    text: str
    output: Output | None = None
    host: str | None = None
    netns: str | None = ""
    container: str = ""
    view: str | None = None
    elsewhere: bool = False
    enters: bool = False
    leaves: bool = False


#: Most words of a command line that are looked at.
_LONGEST: Final = 4000
_SHELLS: Final = frozenset({"bash", "sh", "zsh", "ash", "dash", "ksh", "fish"})
_ASSIGNMENT: Final = re.compile(r"[A-Za-z_]\w{0,60}=")
_NETNS_PATH: Final = re.compile(r"(?:/var)?/run/(?:docker/)?netns/(?P<name>[^/\s]+)\Z")
#: Filters that pass everything on: the output is whole.
_PASSING: Final = frozenset({"cat", "tee", "less", "more", "sort", "column", "nl", "ts", "unbuffer"})


@dataclass(slots=True)
class _Draft:
    """What is known of a command while the words before it are taken off."""

    words: list[str]
    host: str | None = None
    netns: str | None = ""
    container: str = ""
    bare: bool = False
    shell: bool = field(default=False)


def _without_options(words: list[str], valued: str, start: int = 1) -> int:
    """Index of the first word that is no option; *valued* are short options that take a word."""
    at = start
    while at < len(words) and words[at].startswith("-"):
        word = words[at]
        at += 1
        if word == "--":
            break
        if not word.startswith("--") and word[-1] in valued:
            at += 1
    return at


def _drop(valued: str = "", extra: int = 0) -> Callable[[_Draft], None]:
    """A word that changes no place: it goes, with its options and *extra* words."""

    def strip(draft: _Draft) -> None:
        at = _without_options(draft.words, valued)
        draft.words = draft.words[at + extra :]

    return strip


def _sudo(draft: _Draft) -> None:
    words = draft.words
    at = _without_options(words, "ugphCrtDR")
    draft.shell = at >= len(words)
    draft.words = words[at:]


def _ssh(draft: _Draft) -> None:
    words = draft.words
    at = _without_options(words, "bcDEeFIiJLlmOopQRSWw")
    if at >= len(words):
        draft.words = []
        return
    draft.host = words[at].rpartition("@")[2]
    draft.netns, draft.container = "", ""
    rest = words[at + 1 :]
    draft.shell = not rest
    # What ssh is given in quotes is a command line of its own.
    draft.words = _lexed(" ".join(rest)) if len(rest) == 1 else rest


def _exec(draft: _Draft) -> None:
    """``docker exec [-it] NAME CMD``, ``kubectl exec POD -c C -- CMD``, ``lxc exec NAME -- CMD``."""
    words = draft.words
    at = _without_options(words, "uewn", 1)
    if at < len(words) and words[at] == "compose":
        at += 1
    if at >= len(words) or words[at] != "exec":
        draft.words, draft.bare = words, True
        return
    at = _without_options(words, "uewnc", at + 1)
    if at >= len(words):
        draft.words = []
        return
    draft.container = words[at]
    draft.netns = None
    at += 1
    at = _without_options(words, "uewnc", at)
    draft.words = words[at:]


def _nsenter(draft: _Draft) -> None:
    words, named, whose = draft.words, None, None
    enters = False
    at = 1
    while at < len(words) and words[at].startswith("-"):
        word = words[at]
        at += 1
        if word.startswith(("--net", "-n")):
            enters = True
            given = word.partition("=")[2] or (word[2:] if word.startswith("-n") else "")
            path = _NETNS_PATH.search(given)
            named = path["name"] if path else named
        elif word in ("-t", "--target", "-S", "-G", "-r", "-w") and at < len(words):
            whose = words[at] if word in ("-t", "--target") else whose
            at += 1
        elif word in ("-a", "--all"):
            enters = True
        elif word == "--":
            break
        if word.startswith("--target="):
            whose = word.partition("=")[2]
    if enters:
        draft.netns = named or ("root" if whose == "1" else None)
    draft.words = words[at:]


def _ip(draft: _Draft) -> None:
    """``ip netns exec NS CMD`` and ``ip -n NS …``; anything else of ``ip`` stays."""
    words = draft.words
    kept = [words[0]]
    at = 1
    while at < len(words) and words[at].startswith("-"):
        if words[at] in ("-n", "-net", "-netn", "-netns") and at + 1 < len(words):
            draft.netns = words[at + 1]
            at += 2
            continue
        if words[at] in ("-all", "-a", "-al"):
            draft.netns = None
        kept.append(words[at])
        at += 1
    rest = words[at:]
    if len(rest) > 1 and rest[0] in ("netns", "netn", "net") and rest[1] in ("exec", "exe", "ex", "e"):
        if draft.netns is None and not draft.container:  # ip -all netns exec CMD
            draft.words = rest[2:]
        else:
            draft.netns = rest[2] if len(rest) > 2 else None  # noqa: PLR2004 (netns exec NS)
            draft.words = rest[3:]
        return
    if len(rest) > 1 and rest[0] == "vrf" and rest[1] == "exec":
        draft.words = rest[3:]
        return
    draft.words, draft.bare = kept + rest, True


def _shell(draft: _Draft) -> None:
    words = draft.words
    found = next((n for n, word in enumerate(words[1:], 1) if re.fullmatch(r"-[a-z]*c", word)), None)
    if found is not None and found + 1 < len(words):
        draft.words = _lexed(words[found + 1])
        return
    draft.shell, draft.words = True, []


#: Words before a command, and how they are taken off.
_WRAPPERS: Final[Mapping[str, Callable[[_Draft], None]]] = {
    "sudo": _sudo,
    "doas": _drop("u"),
    "time": _drop(),
    "timeout": _drop("ks", 1),
    "nohup": _drop(),
    "stdbuf": _drop("ioe"),
    "unbuffer": _drop(),
    "nice": _drop("n"),
    "ionice": _drop("cn"),
    "watch": _drop("n"),
    "env": _drop("u"),
    "exec": _drop(),
    "command": _drop(),
    "setsid": _drop(),
    "chroot": _drop("", 1),
    "ssh": _ssh,
    "docker": _exec,
    "podman": _exec,
    "kubectl": _exec,
    "oc": _exec,
    "nerdctl": _exec,
    "crictl": _exec,
    "lxc": _exec,
    "nsenter": _nsenter,
    "ip": _ip,
    **dict.fromkeys(_SHELLS, _shell),
}


def _lexed(text: str) -> list[str]:
    """Words of a command line; quotes that are not closed are taken as letters."""
    try:
        return shlex.split(text, comments=False)
    except ValueError:
        return text.split()


def _stages(text: str) -> tuple[list[str], bool, bool]:
    """
    The parts between pipes; whether standard output went into a file; whether another command follows.

    Quotes are respected. ``2>&1`` and ``2>/dev/null`` say nothing of standard output.
    """
    stages, word, quote, elsewhere = [""], "", "", False
    at = 0
    while at < len(text):
        letter = text[at]
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "'\"":
            quote = letter
        elif letter == "\\" and at + 1 < len(text):
            stages[-1] += text[at : at + 2]
            at += 2
            continue
        elif letter == "|" and text[at : at + 2] == "||":
            return stages, elsewhere, True
        elif letter == "|":
            at += 2 if text[at : at + 2] == "|&" else 1
            stages.append("")
            continue
        elif letter == ";" or text[at : at + 2] == "&&":
            return stages, elsewhere, bool(text[at:].strip("; &"))
        elif letter == "&" and not text[at + 1 :].strip():
            break
        elif letter in "<>":
            redirect = _REDIRECT.match(text, at)
            if redirect is not None:
                word = stages[-1]
                descriptor = word[-1] if word[-1:] in ("1", "2") and word[-2:-1].isspace() else ""
                stages[-1] = word[: len(word) - len(descriptor)]
                to = redirect["to"]
                if letter == ">" and descriptor != "2" and to not in ("&2", "&1", "/dev/stdout", "/dev/tty"):
                    elsewhere = True
                at = redirect.end()
                continue
        stages[-1] += letter
        at += 1
    return stages, elsewhere, False


_REDIRECT: Final = re.compile(r"(?:>>?|<)\s*(?P<to>&\d|[^\s;|&<>]+)")


def _unwrapped(text: str) -> _Draft:
    draft = _Draft(_lexed(text))
    for _ in range(12):
        while draft.words and _ASSIGNMENT.match(draft.words[0]):
            draft.words = draft.words[1:]
        if not draft.words:
            break
        draft.words[0] = draft.words[0].rpartition("/")[2]
        wrapper = _WRAPPERS.get(draft.words[0])
        if wrapper is None or draft.bare:
            break
        wrapper(draft)
    return draft


def read_command(text: str) -> Command:
    """
    Read a command line, whatever it is.

    :param text: what stands behind the prompt.
    """
    shown = text.strip()
    stages, elsewhere, more = _stages(shown[:_LONGEST])
    draft = _unwrapped(stages[0])
    place = Command(shown, None, draft.host, draft.netns, draft.container, elsewhere=elsewhere)
    if not draft.words:
        return replace(place, enters=draft.shell)
    if draft.words[0] in ("exit", "logout"):
        return replace(place, leaves=True)
    reader = PROGRAMS.get(draft.words[0])
    output = None if reader is None else reader(draft.words)
    if output is None:
        return place
    if output.switch and draft.container:
        # Open vSwitch is one per machine: its tools say the same in a container.
        place = replace(place, netns="", container="")
    views = [stage.strip() for stage in stages[1:] if not _passes(stage)]
    if output.view is not None:
        views.insert(0, output.view)
    if more:
        views.append("several commands in one line")
    return replace(place, output=output, view=" | ".join(views) if views else None)


def _passes(stage: str) -> bool:
    words = stage.split()
    return bool(words) and words[0].rpartition("/")[2] in _PASSING
