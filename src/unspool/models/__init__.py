"""
The models and routes that runs can use.

`definitions` has the fields of a model; models come from `environment`, `config_file` and the
database. `sources` joins the first two, `registry` all three, and fills the `catalog` that runs
use. `probe` sends a model a small request, `health` remembers how it behaved, `prices` computes
the cost of an attempt.
"""
