"""
Stories (S4): models rewrite a topic, cut it into scenes, and choose a camera movement for each.

Read `flow` first. `request` is the input, `prompts` has the prompts, `readers` reads the answers.
`dialects/` has the contracts, `records` stores projects, stages and their history, `api/` serves
and edits them.
"""

from unspool.plugs import App

app = App(
    flows={"story": ".flow"},
    dialects={"story": ".dialects.story", "story_lean": ".dialects.story_lean"},
    api={"projects": ".api.projects"},
)
