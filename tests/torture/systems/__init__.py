"""
What is compared: each system is a file here, as its own users run it.

To add one: a file with a subclass of `program.Program`, its name in `torture/__main__.py`, and a
column in `torture/table.py`. The file says how the system starts, how a viewer reads, comes back
and stops, and what it is not made for.
"""

SILENCE_S = 3
"""After so much silence of the model a system may give up, where it has a setting for that."""
