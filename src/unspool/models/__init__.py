"""
Which models there are.

`definitions` says what can be written of a model; it comes from `environment`, `config_file`
and the database. `sources` joins the first two, `registry` all three, and makes the `catalog`
that a run asks. `probe` asks a model something small, `health` remembers how it behaved,
`prices` computes what an attempt cost.
"""
