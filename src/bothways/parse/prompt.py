"""
The prompt of a shell in a pasted terminal: which host it names, and where the command begins.

``root@host1:~# ip addr``, ``[root@host1 ~]# …``, ``(overcloud) [stack@director ~]$ …``, ``host1:~ # …``,
``()[neutron@host1 /]$ …``, ``host1# …``, and bare ``#`` or ``$``. A bare sign is a heading or a comment as
often as a prompt; what follows it decides, see :mod:`bothways.parse.transcript`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["Prompt", "read_prompt"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """
    One prompt.

    :param host: the machine that it names, None if it names none.
    :param command: what was typed behind it.
    :param column: 1-based column of the command.
    :param sure: True if nothing but a shell prints it.
    """

    host: str | None
    command: str
    column: int
    sure: bool


_ENVIRONMENT: Final = r"(?:\([\w.\- ]{0,60}\)\s?){0,3}"
_HOST: Final = r"(?P<host>[A-Za-z0-9][\w.-]{0,254})"
#: Forms in which a host is named, and whether only a shell writes like this.
_FORMS: Final = (
    (
        re.compile(
            rf"\s*{_ENVIRONMENT}\[[\w.+-]{{1,64}}@{_HOST}(?::|\s)?[^\]#$%]{{0,300}}\]\s?[#$%](?:\s+|\Z)"
        ),
        True,
    ),
    (re.compile(rf"\s*{_ENVIRONMENT}[\w.+-]{{1,64}}@{_HOST}\s?:[^#$%\n]{{0,300}}?[#$%](?:\s+|\Z)"), True),
    (
        re.compile(
            rf"\s*{_ENVIRONMENT}[\w.+-]{{1,64}}@{_HOST}(?:\s[~/][\w./~-]{{0,200}})?\s?[#$%>](?:\s+|\Z)"
        ),
        True,
    ),
    (re.compile(rf"\s*{_ENVIRONMENT}{_HOST}:[~/][\w./~-]{{0,200}}\s?[#$%](?:\s+|\Z)"), True),
    (re.compile(rf"\s*{_HOST}[#$](?:\s+|\Z)"), False),
)
_SHELL: Final = re.compile(r"\s*(?:-?(?:ba|z|k|da)?sh-\d[\d.]*)[#$](?:\s+|\Z)")
_BARE: Final = re.compile(rf"\s*{_ENVIRONMENT}(?:~|~/[\w./-]{{0,200}})?\s?[#$%](?:\s+|\Z)")


def read_prompt(line: str) -> Prompt | None:
    """Read the prompt that a line begins with; None if it begins with none."""
    # What a user types is short; the limit keeps the search short as well.
    head = line[:1000]
    shell = _SHELL.match(head)
    if shell is not None:
        return Prompt(None, line[shell.end() :].strip(), shell.end() + 1, sure=True)
    for form, sure in _FORMS:
        found = form.match(head)
        if found is not None:
            return Prompt(found["host"], line[found.end() :].strip(), found.end() + 1, sure)
    bare = _BARE.match(head)
    if bare is not None:
        return Prompt(None, line[bare.end() :].strip(), bare.end() + 1, sure=False)
    return None
