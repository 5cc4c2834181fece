"""
Pure codecs: bytes and text in, values out. No I/O, no clock, no knowledge of runs.

`sse` is Server-Sent Events both ways, `partial_json` reads JSON that is still being written,
`json_schema` checks schemas and what should fit them, `plain_yaml` is the YAML that a settings
file needs, `tokens` estimates counts, `written` has the shapes of what people write down.
"""
