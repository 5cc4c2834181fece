"""
How a tool is kept and called: `registry` has the definitions, `calls` carries a call out and
turns every failure into an answer, `http` sends a call to a host that is allowed.
"""
