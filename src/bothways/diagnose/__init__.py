"""
Observed beside predicted: from a bundle to a diagnosis.

case          what was observed of one connection and what the model predicts
author        who sent the RST
hop           one namespace replayed with what was captured on its way in
mechanism     how a namespace came to reset what it should have forwarded
flip          a snapshot without one fact, to see whether the fate hangs on it
causes/       one file per cause
compose       puts the verdict together
"""

from bothways.diagnose.compose import diagnose, predict

__all__ = ["diagnose", "predict"]
