"""Secrets that are each there once, and the eyes that look for them everywhere they must not be."""

from __future__ import annotations

import base64
import itertools
import json
import tarfile
from collections import Counter
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from tests.hostile_text.calls import call

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.acceptance.worlds import Completed, World

TABLES = (
    *("videos", "jobs", "job_runs", "job_events"),
    *("ingest_artifacts", "ingest_incidents", "ingest_incident_entries"),
)


class Secrets:
    """Made one by one, each with what it is for in it, so that a find says where it came from."""

    def __init__(self) -> None:
        self._numbers = itertools.count(100)
        self.planted: dict[str, str] = {}

    def plant(self, what: str) -> str:
        """A new secret. It holds what URLs must encode."""
        return self.know(what, f"Zq{next(self._numbers)}x{what.replace(' ', '')}7Kp")

    def know(self, what: str, secret: str) -> str:
        """A secret that is not ours to choose."""
        self.planted[what] = secret
        return secret

    def found_in(self, text: str) -> Iterator[str]:
        """Names of the secrets in ``text``, as they are or encoded."""
        for what, secret in self.planted.items():
            forms = {secret, quote(secret, safe=""), base64.b64encode(secret.encode()).decode().rstrip("=")}
            if any(form in text for form in forms):
                yield what


class Search:
    """Calls the program and looks through all that it prints, and then through all that it left."""

    def __init__(self, world: World, secrets: Secrets) -> None:
        self.world = world
        self.secrets = secrets
        self.places: Counter[str] = Counter()
        self.finds: list[str] = []

    def look(self, kind: str, where: str, text: str) -> None:
        self.places[kind] += 1
        for what in self.secrets.found_in(text):
            self.finds.append(f"the {what} is in {where}")

    def call(self, *words: str, env: dict[str, str] | None = None, **more: Any) -> Completed:
        done = call(self.world, *words, env=env, **more)
        for name, text in (("stdout", done.stdout), ("stderr", done.stderr)):
            self.look("outputs", f"{name} of {' '.join(words)[:80]}", text)
        assert done.code != 1, done.stdout + done.stderr
        return done

    def call_all(self, *words: str, env: dict[str, str] | None = None) -> None:
        """In every format, on a terminal too."""
        for output in ("table", "json", "ndjson"):
            self.call(*words, f"--output={output}", env=env)
        self.call(*words, env=env, terminal=True)

    def rows(self) -> None:
        """Every value of every row, but for the source's own address, which its worker needs."""
        for table in TABLES:
            for row in self.world.query(f"SELECT * FROM {table}"):
                self.look(
                    "rows", f"table {table}: {row.get('id')}", json.dumps(_without_source(row), default=str)
                )

    def files(self, root: Path) -> None:
        """Every file below ``root`` but the database's own, archives unpacked."""
        for path in (
            p for p in root.rglob("*") if p.is_file() and p.suffix != ".db" and "secret" not in p.name
        ):
            self.look("files", str(path), str(path) + path.read_bytes().decode("latin-1"))
            if path.name.endswith(".tar.gz"):
                with tarfile.open(path) as packed:
                    for member in packed:
                        stream = packed.extractfile(member)
                        self.look("files", f"{path}/{member.name}", stream.read().decode() if stream else "")

    def objects(self, client: Any) -> None:
        """What the store keeps beside each object's bytes."""
        for role in ("VIDEO", "AUDIO", "UPLOADS"):
            bucket = self.world.bucket(role)
            for entry in client.list_objects_v2(Bucket=bucket).get("Contents", []):
                head = client.head_object(Bucket=bucket, Key=entry["Key"])
                self.look("objects", f"{bucket}/{entry['Key']}", json.dumps(head, default=str))


def _without_source(row: dict[str, Any]) -> dict[str, Any]:
    kept = {k: v for k, v in row.items() if k != "source_uri"}
    payload = kept.get("payload")
    if isinstance(payload, dict) and payload.get("type") == "video_ingestion":
        source = {k: v for k, v in payload["source"].items() if k != "url"}
        kept["payload"] = {**payload, "source": source, "dedupe": None}
    return kept
