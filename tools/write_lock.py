"""
Writes ``requirements.lock``: what ``make setup`` installs, pinned, with hashes, without addresses.

pip-tools does the work in an environment of its own, so that the lock need not contain its own writer.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PIP_TOOLS = "pip-tools>=7.4"
EDITABLE = "editables>=0.5"  # what hatchling asks for when it builds an editable install
COMPILE = [
    "--generate-hashes",
    "--allow-unsafe",
    "--strip-extras",
    "--quiet",
    "--no-header",
    "--no-annotate",
    "--no-emit-index-url",
    "--no-emit-find-links",
    "--no-emit-trusted-host",
    "--no-emit-options",
]


def wanted(pyproject: str) -> list[str]:
    """What *pyproject* (TOML text) asks for: to run, to develop and to build."""
    table = tomllib.loads(pyproject)
    project = table["project"]
    extras = project["optional-dependencies"]["dev"]
    return [*project["dependencies"], *extras, *table["build-system"]["requires"], EDITABLE]


def main() -> None:
    """Resolve anew and write the lock."""
    with tempfile.TemporaryDirectory() as scratch:
        venv, source, lock = (Path(scratch, name) for name in ("venv", "all.in", "requirements.lock"))
        subprocess.run([sys.executable, "-m", "venv", venv], check=True)
        subprocess.run([venv / "bin" / "python", "-m", "pip", "install", "--quiet", PIP_TOOLS], check=True)
        source.write_text("\n".join(wanted((ROOT / "pyproject.toml").read_text(encoding="utf-8"))) + "\n")
        subprocess.run([venv / "bin" / "pip-compile", *COMPILE, "--output-file", lock, source], check=True)
        (ROOT / "requirements.lock").write_bytes(lock.read_bytes())


if __name__ == "__main__":
    main()
