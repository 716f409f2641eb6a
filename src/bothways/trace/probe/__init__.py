"""
What runs on the traced host: a loader of BPF programs, and a stream of events.

Python 3.6 and its standard library are enough, and nothing of bothways outside this package is imported:
packed into one file it goes over ssh and runs from memory.
"""
