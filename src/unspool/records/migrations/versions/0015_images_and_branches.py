"""Images of prompts, and conversations that branch."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "images",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("type", sa.String(32), nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("used_ms", sa.BigInteger, nullable=False),
    )
    op.add_column("turns", sa.Column("parent", sa.Integer, nullable=False, server_default="0"))
    op.execute("UPDATE turns SET parent = number - 1")
    op.add_column(
        "conversations", sa.Column("current", sa.Integer, nullable=False, server_default="0")
    )
    op.execute(
        "UPDATE conversations SET current = COALESCE("
        "(SELECT MAX(number) FROM turns WHERE conversation_id = conversations.id), 0)"
    )


def downgrade() -> None:
    op.drop_column("conversations", "current")
    op.drop_column("turns", "parent")
    op.drop_table("images")
