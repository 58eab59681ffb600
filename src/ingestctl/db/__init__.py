"""The job store: one contract (base), one SQLAlchemy Core implementation for SQLite and PostgreSQL."""
