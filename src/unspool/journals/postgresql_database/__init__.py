"""
Parts of the PostgreSQL journal.

Each process is a *writer*: it numbers its commits itself, so a reader that has seen `n` knows that
it can see everything before. `schema` has the tables, `connections` the connections, `writing` the
commits, `claiming` the change of an owner, `membership` the beats of processes, `following`
the runs that other processes write, `reading` and `pruning` the rest.
"""
