"""What several servers over one database tell each other: changes, and their sealing key."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "changes",
        sa.Column("subject", sa.String(32), primary_key=True),
        sa.Column("number", sa.Integer(), nullable=False),
    )
    op.create_table(
        "sealing_keys",
        sa.Column("fingerprint", sa.String(64), primary_key=True),
        sa.Column("created_ms", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    op.drop_table("sealing_keys")
    op.drop_table("changes")
