"""
The command line: the only room that prints and exits.

======== ===========================================================
verbs    the command itself; a verb's module is loaded when it is called
diagnose why a connection failed
predict  what will become of a connection, from the dumps alone
demo     the incident that comes with bothways
show     what is in a bundle
explain  the page of a cause
conntrack  the TCP tracker, stepped by hand
conform  the model, held against kernels
case     BUNDLE and FLOW, from words of the command line to values
ending   exit codes, and errors as one sentence with a hint
screen   standard output and standard error: width, colour, a reader that has gone
======== ===========================================================

Standard output carries the answer, standard error whatever is wrong with the evidence or with the call.
"""

from bothways.cli.verbs import main

__all__ = ["main"]
