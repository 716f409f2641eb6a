r"""
A pasted terminal, cut into what each command printed.

A prompt with its command opens a piece. It ends at the next prompt, at the end of the block of code, or where
prose begins; a remark between two lines of output does not end it. Prose, markup, source code and the output
of commands that say nothing about packets are passed over. Output without a command is a piece without a
place.

Lines end at ``\n``, as in every parser of this room.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from bothways.parse.command import Command, read_command
from bothways.parse.markup import fence, is_remark, plain, without_tags
from bothways.parse.piece import Piece
from bothways.parse.programs import PROGRAMS
from bothways.parse.prompt import Prompt, read_prompt
from bothways.parse.text_format import FORMATS, betrayed
from bothways.parse.text_json import Brackets, json_kind, opens_json

__all__ = ["cut_transcript"]

#: Lines of prose between a command and its output, and inside an output, that do not end it.
_PATIENCE: Final = 2
#: What ``sudo`` and ``ssh`` say before and behind the output of a command.
_CHATTER: Final = re.compile(
    r"\s*(?:\[sudo\]|.{0,80}'s password:|Connection to \S+ closed|Warning: Permanently added"
    r"|Pseudo-terminal|\^C|exit\s*\Z"
    r"|logout\s*\Z|Last login: )"
)
_CLOCK: Final = re.compile(r"\s*(?P<date>\d{4}-\d\d-\d\d[ T])?(?P<time>\d\d:\d\d:\d\d\.\d{1,9})\s")
_LISTENING: Final = re.compile(r"\blistening on (?P<device>[^\s,]+)")
#: A line that ends like this announces what follows; the second is the fullwidth sign.
_INTRODUCES: Final = (":", "\uff1a")
#: No command ends like a sentence; the last three are the signs of Chinese and Japanese.
_SENTENCE_ENDS: Final = ".:,;?!\uff0c\u3002\uff1a"
_BRACED: Final = frozenset({"nft"})
_JSON: Final = frozenset({"addr", "route", "rule", "route6", "rule6", "neigh", "fdb", "vlan", "ovsdb"})
#: Kinds that also stand in a kernel log: one command prints all of them.
_LOGGED: Final = ("stacks", "invalid-log")


@dataclass(slots=True)
class _Open:
    """A piece while its lines are read."""

    kind: str
    at: int
    section: int
    command: Command | None = None
    host: str | None = None
    netns: str | None = None
    title: str = ""
    title_at: int = 0
    indent: int | None = None
    lines: dict[int, str] = field(default_factory=dict)
    foreign: int = 0
    blank: bool = False
    json: bool = False
    brackets: Brackets = field(default_factory=Brackets)
    listening: str = ""

    def fits(self, line: str) -> bool:
        """Whether a line belongs to the output; settles the kind where the command leaves it open."""
        if self.brackets.depth > 0:
            return True
        if not self.kind:
            self.kind = betrayed(line) or json_kind(line) or ""
        if self.kind in _JSON and opens_json(line) and (self.json or not self.lines):
            self.json = True
            return True
        if not self.kind or self.json or self.kind == "unread":
            return False
        if self.kind in _BRACED:
            return FORMATS[self.kind].betrays.match(line) is not None or line.lstrip().startswith("#")
        return FORMATS[_holder(self.kind)].holds.match(line[:2000]) is not None

    def take(self, number: int, line: str) -> None:
        self.lines[number] = line
        self.foreign, self.blank = 0, False
        if self.json or self.kind in _BRACED:
            self.brackets.read(line)
        if self.kind == "tcpdump":
            found = _LISTENING.search(line)
            self.listening = found["device"] if found else self.listening


def _holder(kind: str) -> str:
    return "iptables" if kind == "ip6tables" else kind


@dataclass(slots=True)
class _Session:
    """Which place prompts speak of."""

    host: str | None = None
    #: host -> (namespace, container) of the shells that were opened there, outermost first
    shells: dict[str | None, list[tuple[str | None, str]]] = field(default_factory=dict)
    hops: list[str | None] = field(default_factory=list)

    def place(self, host: str | None) -> tuple[str | None, str]:
        opened = self.shells.get(host)
        return opened[-1] if opened else ("root", "")


@dataclass(slots=True)
class _Cutter:
    lines: list[str]
    section: int = 0
    apart: bool = True
    title: str = ""
    title_at: int = 0
    current: _Open | None = None
    session: _Session = field(default_factory=_Session)
    pieces: list[Piece] = field(default_factory=list)
    skip_to: int = 0

    def run(self) -> None:
        for number, raw in enumerate(self.lines, start=1):
            if number > self.skip_to:
                self.line(number, raw)
        self.close()

    def line(self, number: int, raw: str) -> None:
        sign = fence(raw)
        if sign is not None:
            if self.current is not None and self.current.lines:
                self.close()
            self.apart = True
            return
        text = plain(raw)
        inside = self.current
        if inside is not None and inside.brackets.depth > 0 and inside.lines:
            inside.take(number, text)
            return
        prompt = self.prompt(text)
        if prompt is not None:
            self.close()
            self.command(number, raw, prompt)
        elif not text.strip():
            if inside is not None:
                inside.blank = True
        elif _CHATTER.match(text):
            return
        elif inside is None or not self.output(number, text, raw, inside):
            self.orphan(number, text, raw)

    def prompt(self, text: str) -> Prompt | None:
        """The prompt of a line, if what follows it shows that it is one."""
        prompt = read_prompt(text)
        if prompt is not None and (prompt.sure or _is_call(prompt.command)):
            return prompt
        if prompt is None and _is_bare_call(text):
            column = len(text) - len(text.lstrip()) + 1
            return Prompt(None, text.strip(), column, sure=False)
        return None

    def command(self, number: int, raw: str, prompt: Prompt) -> None:
        typed = prompt.command
        last = number
        while typed.endswith("\\") and last < len(self.lines):
            typed = f"{typed[:-1].rstrip()} {plain(self.lines[last]).strip().removeprefix('> ')}"
            last += 1
        self.skip_to = last
        command = read_command(typed)
        host = self.speaker(prompt)
        netns, container = self.session.place(host)
        if command.leaves:
            self.leave(host)
            return
        ran_on = command.host or host
        if command.host is not None:
            netns, container = "root", ""
        netns = netns if command.netns == "" and not command.container else command.netns
        container = command.container or container
        if command.enters:
            self.enter(host, command, netns, container)
            return
        if command.output is None and not command.text:
            # An idle prompt: what follows was not printed there.
            self.apart = True
            return
        kind = "" if command.output is None else command.output.kind
        if command.output is not None and command.output.switch:
            netns = "root"
        self.current = _Open(
            kind, number, self.section, command, ran_on, netns, self.title, self.title_at,
            indent=len(raw) - len(raw.lstrip()),
        )  # fmt: skip
        if command.output is None or (not kind and command.output.opened is not None):
            # A script, or a file that was printed: what is in it may be of anywhere.
            self.current.netns = None

    def speaker(self, prompt: Prompt) -> str | None:
        """The host that a prompt speaks of."""
        if prompt.host is not None:
            self.session.host = prompt.host
            self.section += self.apart
        elif self.apart:
            self.section += 1
            if not self.session.hops and not self.session.shells.get(self.session.host):
                # After prose a bare prompt may be of any machine.
                self.session.host = None
        self.apart = False
        return self.session.host

    def enter(self, host: str | None, command: Command, netns: str | None, container: str) -> None:
        if command.host is not None:
            self.session.hops.append(host)
            self.session.host = command.host
            self.session.shells.pop(command.host, None)
        elif command.netns != "" or command.container:
            self.session.shells.setdefault(host, []).append((netns, container))

    def leave(self, host: str | None) -> None:
        opened = self.session.shells.get(host)
        if opened:
            opened.pop()
        elif self.session.hops:
            self.session.host = self.session.hops.pop()

    def output(self, number: int, text: str, raw: str, piece: _Open) -> bool:
        """Give a line to the open piece; False if it is none of it, and the piece has ended."""
        if piece.fits(text):
            if piece.lines and piece.blank and (piece.foreign or _ran_again(piece, text)):
                self.close()
                return False
            piece.take(number, text)
            return True
        if piece.kind and piece.kind != "unread" and FORMATS[_holder(piece.kind)].chatter.match(text):
            return True
        if is_remark(text) or (piece.kind == "unread" and not piece.blank):
            return True
        if not piece.lines and betrayed(text) is not None and piece.kind:
            self.close()
            return False
        piece.foreign += 1
        ended = piece.blank if piece.lines else piece.foreign > _PATIENCE
        if ended or piece.foreign > _PATIENCE or (piece.lines and text.rstrip().endswith(_INTRODUCES)):
            self.close()
            return False
        self.note(number, raw)
        return True

    def orphan(self, number: int, text: str, raw: str) -> None:
        """A line that no open piece takes: output without a command, or prose."""
        kind = betrayed(text) or json_kind(text)
        if kind is None:
            self.note(number, raw)
            return
        self.section += self.apart
        piece = _Open(kind, number, self.section, title=self.title, title_at=self.title_at)
        if kind in _LOGGED:
            # A log belongs to the machine that the text spoke of last, unless prose stands between.
            piece.host, piece.netns = (None if self.apart else self.session.host), "root"
        self.apart = False
        if piece.fits(text):
            piece.take(number, text)
        self.current = piece

    def note(self, number: int, text: str) -> None:
        """Prose: the title of what follows."""
        self.title, self.title_at, self.apart = without_tags(text).strip(), number, True

    def close(self) -> None:
        piece, self.current = self.current, None
        if piece is None:
            return
        if piece.command is not None and piece.command.output is not None and piece.command.output.wrote:
            # What was printed is tcpdump's chatter; the packets are in that file.
            piece.kind, piece.lines = "wrote", {}
        elif (not piece.lines and piece.kind != "unread") or not piece.kind:
            return
        if piece.command is not None and piece.command.elsewhere:
            return
        indent = piece.indent
        if indent is None:
            indent = min((len(t) - len(t.lstrip()) for t in piece.lines.values()), default=0)
        lines = piece.lines
        if piece.kind in _LOGGED:
            piece.netns = piece.netns or "root"
        if piece.kind == "stacks" and piece.title:
            # The parser of stacks reads the title itself.
            lines = {piece.title_at: piece.title, **lines}
        self.pieces.append(
            Piece(
                piece.kind,
                lines,
                piece.at,
                piece.command,
                piece.host,
                piece.netns,
                piece.section,
                piece.json,
                piece.title,
                piece.listening,
                indent,
            )
        )


def _ran_again(piece: _Open, line: str) -> bool:
    """Whether packets behind a blank line are from before those above it: of another capture, then."""
    if piece.kind != "tcpdump":
        return False
    new = _CLOCK.match(line)
    old = next((found for found in map(_CLOCK.match, reversed(piece.lines.values())) if found), None)
    return new is not None and old is not None and new["date"] == old["date"] and new["time"] < old["time"]


def _is_call(text: str) -> bool:
    """Whether words behind a bare sign are a command that says something of packets, or of the place."""
    if not text or text[0] in "#-*:":
        return False
    command = read_command(text)
    return command.output is not None or command.enters or command.leaves


#: Words of the trade that begin a sentence as often as a command; options tell.
_NEEDS_OPTION: Final = frozenset(
    {"tcpdump", "ss", "conntrack", "cat", "head", "tail", "grep", "egrep", "zcat", "route", "arp"}
)


def _is_bare_call(text: str) -> bool:
    """Whether a line is a command without a prompt before it."""
    words = text.split()
    if len(words) < 2 or text.rstrip()[-1] in _SENTENCE_ENDS:  # noqa: PLR2004 (a command and an argument)
        return False
    first = words[0].rpartition("/")[2]
    if first not in PROGRAMS and first not in ("sudo", "docker", "kubectl", "podman", "ssh", "nsenter"):
        return False
    command = read_command(text)
    if command.output is None or command.output.kind in ("", "unread"):
        return False
    return first not in _NEEDS_OPTION or words[1].startswith("-")


def _lines(text: str) -> list[str]:
    return [line.removesuffix("\r") for line in text.split("\n")]


def cut_transcript(text: str) -> tuple[Piece, ...]:
    """Cut a text; never raises. Pieces stand in the order of their commands."""
    cutter = _Cutter(_lines(text))
    cutter.run()
    return tuple(cutter.pieces)
