"""``ingestctl db``: the database's schema."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import Output, Quiet
from ingestctl.cli.output import Result
from ingestctl.cli.runner import Call, execute
from ingestctl.cli.view import Fields, Lines
from ingestctl.domain.errors import Exit

if TYPE_CHECKING:
    from ingestctl.cli.schemas_setup import DbStatus, DbUpgrade

EXITS = exit_status()

app = typer.Typer(
    help="The database's schema: status and upgrade.",
    epilog=EXITS,
    rich_markup_mode=None,
    no_args_is_help=True,
)


@app.command("status", help="Show the schema's revision and what is missing.", epilog=EXITS)
def status(ctx: typer.Context, output: Output = None, quiet: Quiet = False) -> None:
    """Compare the schema with what this program needs."""

    def work(call: Call) -> Result:
        from ingestctl.db.migrate import status as schema_status

        database = call.wiring.raw_store.url
        found = schema_status(call.settings.effective_database_url)
        pairs = [
            ("database", database),
            ("revision", found.revision or "none"),
            ("head", found.head),
            ("up to date", found.up_to_date),
        ]
        data: DbStatus = {
            "database": database,
            "revision": found.revision,
            "head": found.head,
            "up_to_date": found.up_to_date,
            "missing": list(found.missing),
        }
        missing = [f"missing: {item}" for item in found.missing]
        newer = found.revision is not None and found.revision > found.head
        told = "this program is older than the database: install a newer one" if newer else None
        hint = [] if found.up_to_date else [told or "next: ingestctl db upgrade"]
        code = Exit.DONE if found.up_to_date else Exit.CONFIGURATION
        return Result(data, (Fields(pairs), Lines(missing, data=True), Lines(hint)), code)

    execute(ctx, "db status", work, output=output, quiet=quiet)


@app.command("upgrade", help="Bring the schema up to date. Additive only; safe to run twice.", epilog=EXITS)
def upgrade(ctx: typer.Context, output: Output = None, quiet: Quiet = False) -> None:
    """Apply what is missing."""

    def work(call: Call) -> Result:
        done = call.wiring.migrate()
        data: DbUpgrade = {
            "from_revision": done.from_revision,
            "to_revision": done.to_revision,
            "applied": list(done.applied),
            "mended": list(done.mended),
            "changed": bool(done.applied or done.mended),
        }
        told = {"applied": done.applied, "mended": done.mended}
        words = "; ".join(f"{what} {', '.join(names)}" for what, names in told.items() if names)
        return Result(data, (Fields([("revision", done.to_revision), ("result", words or "unchanged")]),))

    execute(ctx, "db upgrade", work, output=output, quiet=quiet)
