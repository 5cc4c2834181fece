"""
What a token costs, measured: `python -m bench` from the root of the repository.

Every figure comes from one run on one machine, server alone on one core, model
and viewers on another. `bench/README.md` says what may be concluded from them.
"""
