"""
Stories (S4): a topic is rewritten, cut into scenes, and given camera movements, stage by stage.

Read `flow` first. `request` is the input, `prompts` asks a model, `readers` reads its answers.
`dialects/` are the contracts, `records` keeps projects, stages and their history, `api/` shows
and edits them.
"""

from unspool.plugs import App

app = App(
    flows={"story": ".flow"},
    dialects={"story": ".dialects.story", "story_lean": ".dialects.story_lean"},
    api={"projects": ".api.projects"},
)
