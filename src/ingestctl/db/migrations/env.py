"""How Alembic runs our migrations: on the connection :mod:`ingestctl.db.migrate` hands over."""

from __future__ import annotations

from alembic import context

from ingestctl.db.one_job import VERSION_TABLE

connection = context.config.attributes["connection"]
on_sqlite = connection.dialect.name == "sqlite"
# SQLite: all in the one transaction that is the upgrade's lock. PostgreSQL: one each, so that no lock
# on a table of the platform is kept longer than its own step takes.
context.configure(
    connection=connection,
    version_table=VERSION_TABLE,
    transactional_ddl=True,
    transaction_per_migration=not on_sqlite,
)
with context.begin_transaction():
    context.run_migrations()
