"""
The parts of the SQLite journal.

A token passes them in this order: `live_run` holds a live run, `group_commit` writes all live
runs together, `store` has the statements, `schema` the tables, `pruning` deletes.
"""
