"""
How much of a code base's calls to models is streamed (S3.8): `unspool audit PATH`.

`tree` walks the files; `python` and `javascript` make a `Site` (`sites`) of every call; `rules`
says which of them ask a model, and whether the answer is streamed; `report` writes the result
for people, as JSON and as SARIF; `command` is the command line. To add a library, add a line
to `rules`.
"""

from unspool.plugs import App

app = App(commands={"audit": ".command"})
