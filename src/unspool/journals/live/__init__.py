"""
A journal's live runs in memory, the same for every store.

`live_run` is one of them, `group_commit` writes all of them, `waiting` wakes their readers, and
`run_ids` names new ones.
"""
