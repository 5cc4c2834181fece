"""The last extraction of each person."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "extractions",
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("run_id", sa.String(32), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("code", sa.String(64), nullable=False),
        sa.Column("found", sa.Integer(), nullable=False),
        sa.Column("changed_ms", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_extractions"),
    )
    # Events of earlier versions come from runs that completed.
    op.execute(
        "INSERT INTO extractions (user_id, run_id, status, code, found, changed_ms) "
        "SELECT user_id, MAX(run_id), 'completed', '', COUNT(*), 0 FROM events GROUP BY user_id"
    )


def downgrade() -> None:
    op.drop_table("extractions")
