"""
Carrying a run, from the request to its last event.

`admission` turns a request into a run, `runner` carries it, `context` is what its flow holds,
`step_writer` turns deltas into drafts. `children` are runs of a run, `conversations` runs that
are turns of one talk. `replay` runs a recorded run again, with `playback` as its model.
"""
