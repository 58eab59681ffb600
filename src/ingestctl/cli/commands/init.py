"""``ingestctl init``: make the place ready."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from ingestctl.cli.exits import exit_status
from ingestctl.cli.options import Output, Quiet
from ingestctl.cli.output import Result
from ingestctl.cli.runner import Call, execute
from ingestctl.cli.view import Lines, Table

if TYPE_CHECKING:
    from ingestctl.cli.schemas_setup import Init

HELP = "Create or migrate the database and create the buckets. Additive; safe to run again at any time."
EXITS = exit_status()


def command(ctx: typer.Context, output: Output = None, quiet: Quiet = False) -> None:
    """Migrate, make buckets, show what was made."""

    def work(call: Call) -> Result:
        from ingestctl.ops.setup import Made, make_buckets

        upgraded = call.wiring.migrate()
        database = Made(f"database schema {upgraded.to_revision}", bool(upgraded.applied or upgraded.mended))
        made = [database, *make_buckets(call.wiring.storage, call.wiring.buckets)]
        rows = [(m.what, "created" if m.created else "exists") for m in made]
        data: Init = {
            "database": call.wiring.raw_store.url,
            "storage": call.wiring.storage.url,
            "made": [{"what": m.what, "created": m.created} for m in made],
        }
        where = Lines(
            [f"database {data['database']}", f"storage  {data['storage']}", "next: ingestctl submit URL"]
        )
        return Result(data, (Table(("what", "result"), rows), where))

    execute(ctx, "init", work, output=output, quiet=quiet)
