"""Parts of the SQLite journal: `store` has the statements, `schema` the tables."""
