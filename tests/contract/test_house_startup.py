"""Starting is cheap: `--help` imports click only, and a verdict is there at once."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
INCIDENT = ROOT / "examples" / "incident"

IMPORTED_BY_HELP = """
import json, sys, sysconfig
before = set(sys.modules)
from bothways.cli import main
try:
    main(["--help"])
except SystemExit as exit:
    assert not exit.code, exit.code
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def cpu_seconds(cache: Path, *argv: str) -> float:
    """
    CPU time of one run, seconds: user and system, so that a busy machine does not count.

    :param cache: where compiled modules are kept, as an installed package has them.
    """
    environment = {**os.environ, "PYTHONPYCACHEPREFIX": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    result = subprocess.run(argv, cwd=ROOT, capture_output=True, check=False, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert result.returncode in {0, 1}, result.stderr
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_help_imports_click_only() -> None:
    result = subprocess.run(
        [sys.executable, "-c", IMPORTED_BY_HELP], cwd=ROOT, capture_output=True, text=True, check=True
    )
    modules: list[str] = json.loads(result.stdout.splitlines()[-1])
    foreign = {module.partition(".")[0] for module in modules} - set(sys.stdlib_module_names) - {"bothways"}
    assert foreign == {"click"}
    rooms = {module.split(".")[1] for module in modules if module.startswith("bothways.")}
    assert rooms == {"cli"}


@pytest.mark.parametrize(
    ("argv", "limit"),
    [
        pytest.param(["--help"], 0.3, id="help"),
        pytest.param(["diagnose", str(INCIDENT), "--json"], 2.0, id="incident"),
    ],
)
def test_start_up(argv: list[str], limit: float, tmp_path: Path) -> None:
    command = str(Path(sys.executable).with_name("bothways"))
    assert min(cpu_seconds(tmp_path, command, *argv) for _ in range(3)) < limit
