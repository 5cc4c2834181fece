"""What is sold, and what people did."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "products",
        sa.Column("sku", sa.String(64), nullable=False),
        sa.Column("name", sa.String(500), nullable=False),
        sa.Column("category", sa.String(200), nullable=False),
        sa.Column("brand", sa.String(200), nullable=False),
        sa.Column("color", sa.String(200), nullable=False),
        sa.Column("price", sa.Numeric(12, 2), nullable=True),
        sa.Column("currency", sa.String(8), nullable=False),
        sa.Column("material", sa.String(500), nullable=False),
        sa.Column("season", sa.String(200), nullable=False),
        sa.Column("selling_points", sa.JSON(), nullable=False),
        sa.Column("scenes", sa.JSON(), nullable=False),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("sku", name="pk_products"),
    )
    op.create_table(
        "behaviors",
        sa.Column("id", sa.Integer(), autoincrement=True, nullable=False),
        sa.Column("user_id", sa.String(128), nullable=False),
        sa.Column("sku", sa.String(64), nullable=True),
        sa.Column("action", sa.String(64), nullable=False),
        sa.Column("at", sa.BigInteger(), nullable=False),
        sa.Column("stay_s", sa.Double(), nullable=True),
        sa.Column("properties", sa.JSON(), nullable=False),
        sa.Column("digest", sa.String(32), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_behaviors"),
        sa.UniqueConstraint("digest", name="uq_behaviors_digest"),
    )
    op.create_index("ix_behaviors_user_id_at", "behaviors", ["user_id", "at"])
    op.create_index("ix_behaviors_sku", "behaviors", ["sku"])


def downgrade() -> None:
    op.drop_table("behaviors")
    op.drop_table("products")
