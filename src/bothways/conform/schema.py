"""Name and number of what ``conform --json`` prints: docs/reference/conformance.schema.json describes it."""

from __future__ import annotations

from typing import Final

__all__ = ["SCHEMA"]

SCHEMA: Final = "bothways/conformance/1"
