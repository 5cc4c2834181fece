"""
Runs and conversations on a server elsewhere, over HTTP.

A run is followed to its end whatever becomes of the connection: every event once, in order. What
starts or answers is sent again after a break, under one key, so that it happens once.

`runs` and `conversations` are the public face, and `blocking` the same without `await`.
`connection` sends requests, `following` comes back after breaks. The command line stands on these
two.
"""
