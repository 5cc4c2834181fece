"""
What the adapters share: reading answers that cannot be trusted to be what they say.

Each room holds one doubt. May we connect there (`addresses`)? Does anything arrive in time
(`http`, `deadlines`)? Is it a stream (`exchange`), is it JSON and text (`documents`,
`surrogates`)? What does an error mean (`vendor_errors`)? Is the answer whole (`answer`,
`tool_calls`, `think_tags`)? `vendors` is the table of what each vendor does differently.
`http1` is a client of our own for HTTP/1.1, which pushes bytes to their reader.
"""
