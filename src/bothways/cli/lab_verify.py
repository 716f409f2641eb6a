"""``bothways lab verify``: a change in the model, and the same change for real."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from bothways.cli.case import no_connection, open_case, read_words
from bothways.cli.ending import CommandError, ExitCode
from bothways.cli.lab_choice import check, doubt, hold, naming_of, progress, rebuilt_from
from bothways.cli.screen import say
from bothways.cli.whatif import read_change
from bothways.diagnose import NoConnectionError
from bothways.diagnose.whatif import what_if
from bothways.facts.whatif import WhatIf
from bothways.lab.build import BuildError
from bothways.lab.verify import Verified, verify
from bothways.model.change import NothingToChangeError

if TYPE_CHECKING:
    from bothways.lab import Scenario

__all__ = ["verified"]

_VERDICTS: Final[Mapping[bool | None, str]] = {
    True: "they agree\n",
    False: "THEY DO NOT AGREE\n",
    None: "the model does not know\n",
}


def verified(words: Sequence[str], changes: Sequence[str], name: str | None, *, as_json: bool) -> int:
    """Walk the change, try it, and print both."""
    paths, question = read_words(words)
    if len(paths) != 1:
        raise CommandError(
            "one bundle is expected", "a site is rebuilt from a whole bundle", ExitCode.WRONG_USAGE
        )
    read = [read_change(text) for text in changes]
    try:
        found = what_if(open_case(paths[0]), read, question)
    except NoConnectionError as error:
        raise no_connection("lab verify", paths, " --change …") from error
    except NothingToChangeError as error:
        raise CommandError(f"the change cannot be made: {error}", error.hint) from error
    scenario = rebuilt_from(paths[0], found.question)
    naming = naming_of(name or f"verify-{scenario.name}"[:40].strip("-"))
    check(scenario, naming)
    with hold(naming):
        try:
            result = verify(
                scenario.site,
                naming,
                found.change,
                found.verdict,
                scenario=str(paths[0]),
                winner=scenario.pinned,
                tell=progress,
                doubt=doubt,
            )
        except BuildError as error:
            raise CommandError(str(error), "the lab is removed") from None
    if as_json:
        say(json.dumps(_document(result, found)) + "\n")
    else:
        _say(result, found, scenario)
    if result.agrees is None:
        return ExitCode.UNDETERMINED
    return ExitCode.DONE if result.agrees else ExitCode.CAUSE_FOUND


def _say(result: Verified, found: WhatIf, scenario: Scenario) -> None:
    del scenario
    say(f"{found.question}\n")
    for change in found.change:
        netns = "" if change.netns == "root" else f"/{change.netns}"
        say(f"  {change.host}{netns}: {change.command}\n")
    say(f"for real, before: {result.before.text}\n")
    say(f"for real, after:  {result.after.text}\n")
    say(f"the model:        {found.verdict}: {found.why}\n")
    say(_VERDICTS[result.agrees])


def _document(result: Verified, found: WhatIf) -> dict[str, object]:
    return {
        "schema": "bothways/lab-verify/1",
        "question": str(found.question),
        "change": [{"host": c.host, "netns": c.netns, "command": c.command} for c in found.change],
        "before": result.before.fate,
        "after": result.after.fate,
        "model": str(found.verdict),
        "why": found.why,
        "agrees": result.agrees,
    }
