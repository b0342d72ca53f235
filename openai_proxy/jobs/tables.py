"""The tables of jobs, the same in SQLite and in PostgreSQL. A change here needs a new file in `migrations/versions`."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
)

metadata = MetaData()
# SQLite counts rows by itself only in a column of this very type.
Place = BigInteger().with_variant(Integer, "sqlite")
# PostgreSQL's plain float has four bytes, too few for a time.
Number = Float(53)

# What changes while a job lives is apart from what may be large: SQLite writes rows anew as a whole.
jobs = Table(
    "jobs",
    metadata,
    Column("place", Place, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("owner", String(64), nullable=False),
    Column("origin", String(32), nullable=False),
    Column("address", String(64), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("model", String(255), nullable=False),
    Column("state", String(16), nullable=False),
    Column("priority", Integer, nullable=False),
    Column("format", String(16), nullable=False),
    Column("speed", Number, nullable=False),
    Column("key", String(255)),
    Column("digest", LargeBinary, nullable=False),
    Column("created", Number, nullable=False),
    Column("started", Number),
    Column("first", Number),
    Column("finished", Number),
    Column("attempt", Integer, nullable=False),
    Column("lease", String(32)),
    Column("leased", Number),
    Column("canceling", Boolean, nullable=False),
    Column("progress", Number, nullable=False),
    Column("note", Text, nullable=False),
    Column("failure", LargeBinary),
    Column("events", Integer, nullable=False),
    Column("size", BigInteger, nullable=False),
    Index("jobs_queue", "model", "state", "priority", "place"),
    Index("jobs_lease", "lease"),
    Index("jobs_owner", "owner", "state", "place"),
    Index("jobs_finished", "finished"),
    Index("jobs_key", "owner", "key", unique=True),
)

orders = Table(
    "orders",
    metadata,
    Column("id", String(36), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("request", LargeBinary, nullable=False),
    Column("sent", LargeBinary, nullable=False),
)

events = Table(
    "events",
    metadata,
    Column("id", String(36), ForeignKey("jobs.id", ondelete="CASCADE"), primary_key=True),
    Column("attempt", Integer, primary_key=True),
    Column("begin", Integer, primary_key=True),
    Column("data", LargeBinary, nullable=False),
)

errands = Table(
    "errands",
    metadata,
    Column("place", Place, primary_key=True, autoincrement=True),
    Column("id", String(128), nullable=False, unique=True),
    Column("origin", String(32), nullable=False),
    Column("owner", String(128), nullable=False),
    Column("state", String(16), nullable=False),
    Column("data", LargeBinary, nullable=False),
    Column("created", Number, nullable=False),
    Column("due", Number),
    Column("until", Number),
    Column("version", Integer, nullable=False),
    Index("errands_owner", "origin", "owner", "state", "place"),
    Index("errands_due", "due"),
    Index("errands_until", "until"),
)

files = Table(
    "files",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("id", String(36), ForeignKey("jobs.id", ondelete="CASCADE"), nullable=False, index=True),
)
