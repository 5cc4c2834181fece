"""
One text from some model, whatever happens to the first.

Read `generate` first: the order of attempts. `attempts` is one request and the count of what
it brought, `continuation` the ladder after a break, `seam` the joint between two texts.
`client` offers all of it without a run (S1).
"""
