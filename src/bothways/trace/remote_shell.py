"""What the shell of another host is asked to run: the first Python there that is new enough, as root."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final

from bothways.trace.carry import remote_command

__all__ = ["NO_PYTHON", "NO_ROOT", "OLD_PYTHON", "shell_command"]

#: exit statuses of the script, beside those of the probe
NO_PYTHON: Final = 41
NO_ROOT: Final = 42
OLD_PYTHON: Final = 43

#: how a Python is called, best first; the second is what Red Hat's own tools run on
_INTERPRETERS: Final = ("python3", "/usr/libexec/platform-python", "python")

# sudo is asked for the very thing that it is to run: it may be allowed that and nothing else.
_SCRIPT: Final = """\
found=
old=
for each in {interpreters}; do
  command -v "$each" >/dev/null 2>&1 || continue
  if "$each" -c "import sys; sys.exit(sys.version_info < (3, 6))" 2>/dev/null; then
    found=$each
    break
  fi
  old=$each
done
if [ -z "$found" ]; then
  if [ -n "$old" ]; then exit {old_python}; fi
  exit {no_python}
fi
if [ "$(id -u)" = 0 ]; then
  exec "$found" {probe}
fi
if command -v sudo >/dev/null 2>&1 && sudo -n "$found" -c "" >/dev/null 2>&1; then
  exec sudo -n "$found" {probe}
fi
exit {no_root}
"""


def shell_command(arguments: Sequence[str]) -> str:
    """Write the command for the login shell of the other host, whichever that is: it starts ``sh``."""
    probe = remote_command(arguments).partition(" ")[2]  # which Python it is, the script finds out
    script = _SCRIPT.format(
        interpreters=" ".join(shlex.quote(each) for each in _INTERPRETERS),
        probe=probe,
        old_python=OLD_PYTHON,
        no_python=NO_PYTHON,
        no_root=NO_ROOT,
    )
    return f"exec sh -c {shlex.quote(script)}"
