"""
Observed beside predicted: from a bundle to a diagnosis.

gather        which connection is meant, and the case of it
admission     whether a capture's filter admits a packet
symptom       what the client felt
author        who sent the RST
owners        who owns the address that the client asked for
seen          what captures tell the model
infer         what captures tell of a namespace whose dumps are missing
hop           one namespace replayed with what was captured on its way in
mechanism     how a namespace came to reset what it should have forwarded
stray         how a namespace let a reply out untranslated
bypass        which way the reply took round it
flip          a snapshot without one fact, to see whether the fate hangs on it
culprits      what the connection would live without
causes/       one file per cause
cut_short     captures that break off before its end
open_end      how far a connection that went well was seen
consistency   where pieces of evidence contradict each other
bystanders    connections beside it that a change must not break
whatif        the same connection before and after a change
remedies/     what repairs it, what does not, what breaks with it
refuted       causes that fit and that the evidence refutes
gaps          what keeps any cause from being proved
wanted        what is unknown, and the command that would tell
expect        what captures would hold of a walk, tap by tap
beside        recorded captures beside predicted ones
illustrate    what a page shows beside the verdict: ``paths``, ``predicted_ladder``, ``excerpts``
itinerary     the copy of a predicted packet that somebody took
compose       puts the verdict together
"""

from bothways.diagnose.beside import lay_beside
from bothways.diagnose.compose import diagnose, predict
from bothways.diagnose.expect import expect
from bothways.diagnose.gather import NoConnectionError

__all__ = ["NoConnectionError", "diagnose", "expect", "lay_beside", "predict"]
