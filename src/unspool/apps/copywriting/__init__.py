"""
Sales copy (S0): three posts about one product, for one reader, checked before they are shown.

Read `flow` first. `request` is the input, `prompts` asks a model, `checks` looks at its answer,
`templates` and `phrases` write where no model does. `audience` and `product_analysis` choose
what to say to a reader; `confidence` says how sure an experiment's result is. `dialect` is the
contract, `records/` keeps posts, their versions and experiments, `api/` shows and edits them;
`posts` are posts as they are now, `exports` makes files of them.
"""

from unspool.plugs import App

app = App(
    flows={"copywriting": ".flow"},
    dialects={"copywriting": ".dialect"},
    api={
        "copies": ".api.copies",
        "experiments": ".api.experiments",
        "outcomes": ".api.outcomes",
        "products": ".api.products",
    },
)
