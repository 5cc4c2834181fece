"""
Shows runs to viewers. It writes no log.

`cursor` is a point in a log, `tapes` encode a run once for all viewers of a dialect,
`event_stream` is one viewer's response, `paced_stream` one that replays at a chosen speed.
`eta` learns how long runs take, `timelines` remembers the shapes of many runs,
`index` finds, sorts and counts them, `remote` follows the runs of a server elsewhere.
"""
