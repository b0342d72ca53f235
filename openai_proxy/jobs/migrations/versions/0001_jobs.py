"""Jobs, their orders, events and files."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

Place = sa.BigInteger().with_variant(sa.Integer, "sqlite")
Number = sa.Float(53)


def upgrade() -> None:
    _jobs()
    op.create_table(
        "orders",
        sa.Column("id", sa.String(36), _of_job(), primary_key=True),
        sa.Column("request", sa.LargeBinary, nullable=False),
        sa.Column("sent", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "events",
        sa.Column("id", sa.String(36), _of_job(), primary_key=True),
        sa.Column("attempt", sa.Integer, primary_key=True),
        sa.Column("begin", sa.Integer, primary_key=True),
        sa.Column("data", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "files",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("id", sa.String(36), _of_job(), nullable=False, index=True),
    )


def _of_job() -> sa.ForeignKey:
    return sa.ForeignKey("jobs.id", ondelete="CASCADE")


def _jobs() -> None:
    op.create_table(
        "jobs",
        sa.Column("place", Place, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(36), nullable=False, unique=True),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("origin", sa.String(32), nullable=False),
        sa.Column("address", sa.String(64), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("model", sa.String(255), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("priority", sa.Integer, nullable=False),
        sa.Column("format", sa.String(16), nullable=False),
        sa.Column("speed", Number, nullable=False),
        sa.Column("key", sa.String(255)),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("created", Number, nullable=False),
        sa.Column("started", Number),
        sa.Column("first", Number),
        sa.Column("finished", Number),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("lease", sa.String(32)),
        sa.Column("leased", Number),
        sa.Column("canceling", sa.Boolean, nullable=False),
        sa.Column("progress", Number, nullable=False),
        sa.Column("note", sa.Text, nullable=False),
        sa.Column("failure", sa.LargeBinary),
        sa.Column("events", sa.Integer, nullable=False),
        sa.Column("size", sa.BigInteger, nullable=False),
    )
    op.create_index("jobs_queue", "jobs", ["model", "state", "priority", "place"])
    op.create_index("jobs_lease", "jobs", ["lease"])
    op.create_index("jobs_owner", "jobs", ["owner", "state", "place"])
    op.create_index("jobs_finished", "jobs", ["finished"])
    op.create_index("jobs_key", "jobs", ["owner", "key"], unique=True)


def downgrade() -> None:
    for table in ("files", "events", "orders", "jobs"):
        op.drop_table(table)
