"""
Registered tools and their calls: `registry` has the definitions, `calls` carries out a call and
turns every failure into an answer, `http` sends a call to an allowed host.
"""
