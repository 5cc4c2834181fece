"""
Alembic runs this file to apply the migrations; `unspool.records.migrations` calls it.

The caller passes the connection and owns its transaction, so a start killed half-way changes
nothing. People write the migrations by hand, so nothing is compared here.
"""

from __future__ import annotations

from alembic import context

context.configure(connection=context.config.attributes["connection"], transactional_ddl=True)
with context.begin_transaction():
    context.run_migrations()
