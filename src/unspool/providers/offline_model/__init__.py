"""
What the built-in model says: it needs no key and no network, and answers every system here.

`answers` chooses, the others write: sales copy and chat (`text`, `words`), event lines (`events`),
graphs and answers from one (`graphs`), stories (`story`, `history`), objects that fit a schema
(`schema`), calls (`tools`).
"""
