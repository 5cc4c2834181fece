"""
Sales copy (S0): three posts about one product, for one reader, checked before they are shown.

Read `flow` first. `request` is the input, `prompts` asks a model, `checks` looks at its answer,
`templates` and `phrases` write where no model does. `audience` and `product_analysis` choose
what to say to a reader; `confidence` says how sure an experiment's result is. `dialect` is the
contract, `records/` keeps posts and experiments, `api/` shows them.
"""

from unspool.plugs import App

app = App(
    flows={"copywriting": ".flow"},
    dialects={"copywriting": ".dialect"},
    api={
        "experiments": ".api.experiments",
        "outcomes": ".api.outcomes",
        "products": ".api.products",
    },
)
