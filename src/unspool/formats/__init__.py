"""
Pure codecs: bytes and text in, values out. No I/O, no clock, no knowledge of runs.

`sse` reads and writes Server-Sent Events, `partial_json` reads JSON while it is still being
written, `json_schema` checks schemas and arguments, `plain_yaml` reads the YAML of the
configuration file, `lines` cuts a growing text into lines, `terminal` makes text safe to print,
`tokens` estimates counts, `moments` reads times as files write them, `written` validates what
people write.
"""
