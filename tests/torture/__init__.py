"""
The torture table: our faults, kills and returns against other ways to stream an answer.

`make torture` runs it. Each system is a file in `systems/`, each scenario one in `scenes/`; the
model of all is `upstream.py`. The judge (`judging.py`) and the table (`table.py`) are pure.
"""
