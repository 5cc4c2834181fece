"""
What Alembic runs to carry out the steps; `unspool.records.migrations` calls it.

The connection is handed in and its transaction is the caller's, so a start that is
killed half-way has changed nothing. Steps are written by hand: nothing is compared here.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
