"""
Run a flow, from the request to the last event.

`admission` turns a request into a run, `runner` carries it, `context` serves its flow,
`step_writer` turns deltas into drafts. `children` starts the runs of a run, `conversations` the
turns of a talk. `replay` runs a recorded run again, with `playback` as its model.
"""
