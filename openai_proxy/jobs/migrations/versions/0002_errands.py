"""Errands."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

Place = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Number = sa.Float(53)


def upgrade() -> None:
    op.create_table(
        "errands",
        sa.Column("place", Place, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(128), nullable=False, unique=True),
        sa.Column("origin", sa.String(32), nullable=False),
        sa.Column("owner", sa.String(128), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("created", Number, nullable=False),
        sa.Column("due", Number),
        sa.Column("until", Number),
        sa.Column("version", sa.Integer, nullable=False),
    )
    op.create_index("errands_owner", "errands", ["origin", "owner", "state", "place"])
    op.create_index("errands_due", "errands", ["due"])
    op.create_index("errands_until", "errands", ["until"])


def downgrade() -> None:
    op.drop_table("errands")
