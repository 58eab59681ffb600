"""What every command really prints, held against the committed schemas: good ends, refusals and errors."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator

from tests.docs.test_reference import leaves

if TYPE_CHECKING:
    from tests.media_samples import Samples
    from tests.services.source import SourceServer

SCHEMAS = Path(__file__).resolve().parents[2] / "docs/reference/schemas"
COMMANDS = [path.removeprefix("ingestctl ") for path in leaves()]


def schema(command: str) -> dict[str, Any]:
    """A command's schema, in which nothing may be said that it does not name."""
    name = command.replace(" ", "-")
    found: dict[str, Any] = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    for shape in (found, *found["$defs"].values()):
        if "properties" in shape:
            shape["additionalProperties"] = False
    return found


class Said:
    """A place with jobs of several ends, and all that the commands said about it."""

    def __init__(self, home: Path, server: SourceServer, samples: Samples) -> None:
        self.home = home
        self.seen: dict[str, list[dict[str, Any]]] = {command: [] for command in COMMANDS}
        home.mkdir()
        server.rules["later.mp4"] = "503"
        urls = [server.url("v.mp4"), server.url("later.mp4"), server.url("v.mp4", fault="404")]
        samples.copy("later.mp4")
        samples.mp4()
        self("init")
        jobs = self("submit", *urls)["data"]["jobs"]
        self.whole, self.later, self.gone = (job["job_id"] for job in jobs)
        assert self("run", "--pending")["status"] == "partial"
        del server.rules["later.mp4"]
        self.many()
        self.one()
        self.cleaning()
        self.setup()

    def __call__(self, *arguments: str, env: dict[str, str] | None = None) -> dict[str, Any]:
        stdout = self.program(*arguments, "--output", "json", env=env)
        assert stdout.count("\n") == 1
        said: dict[str, Any] = json.loads(stdout)
        self.seen[said["command"]].append(said)
        return said

    def program(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        own = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "INGESTCTL_HOME": str(self.home),
            "INGESTCTL_SOURCE_ALLOW_NETWORKS": "127.0.0.1/32",
            "INGESTCTL_RETRY_ATTEMPTS": "1",
            "INGESTCTL_MIN_FREE_BYTES": "1MB",
            "INGESTCTL_ESCALATE_SOURCE_JOBS": "1",
            "INGESTCTL_ESCALATE_SOURCE_SHARE": "0",
        }
        done = subprocess.run(
            [sys.executable, "-m", "ingestctl", *arguments],
            env=own | (env or {}),
            cwd=self.home,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        return done.stdout

    def many(self) -> None:
        self("jobs", "--limit", "1")
        self("jobs", "--status", "failed")
        self("jobs", "--status", "nonsense")
        self("verify-artifacts", "--all")
        self("verify-artifacts", "--all", "--level", "checksum")
        self("retry", "--status", "failed", "--dry-run")
        self("retry", "--status", "failed")
        self("escalate", "--open", "--exit-code")
        self("escalate", "--replay")
        self("explain", "HTTP Error 429: Too Many Requests", "gibberish")
        self("explain")

    def one(self) -> None:
        for job in (self.whole, self.later, "no-such-job"):
            self("inspect", job)
            self("logs", job)
            self("verify-artifacts", job, "--level", "exists")
            self("retry", job, "--dry-run")
        self("retry", self.gone)
        self("retry", self.later, "--run")
        self("run", self.whole)
        self("run", self.gone)
        self("retry", self.whole, "--via", "api")

    def cleaning(self) -> None:
        audio = next((self.home / "objects" / "audio-tracks").rglob("*.wav"))
        audio.write_bytes(b"RIFF of another time")
        job = next(
            found["data"]["job_id"]
            for found in (self("verify-artifacts", j) for j in (self.whole, self.later))
            if found["data"]["verdict"] != "intact"
        )
        self("cleanup", job, "--dry-run")
        self("cleanup", job)
        incident = self("cleanup", job, "--confirm", job)["data"]["incident"]
        self("incidents", "list")
        self("incidents", "show", incident)
        self("incidents", "show", "no-such-incident")
        self("incidents", "note", incident, "seen")
        self("incidents", "close", incident, "--reason", "done")
        self("incidents", "export", incident)
        self("cleanup", "--undo", incident, "--dry-run")
        self("cleanup", "--expire", "30d")

    def setup(self) -> None:
        self("doctor")
        self("doctor", "--show-config")
        self("doctor", env={"INGESTCTL_HOMME": "x"})
        self("db", "status")
        self("db", "upgrade")
        self("db", "status", env={"DATABASE_URL": "postgresql://u:p@127.0.0.1:9/none"})
        self("submit", "ftp://example.org/x")
        self("demo")
        # An orphan, for a fleet check to find.
        whole = next((self.home / "objects" / "raw-videos").glob("videos/*/source.mp4"))
        (whole.parent.parent / "nobody").mkdir()
        (whole.parent.parent / "nobody" / whole.name).write_bytes(whole.read_bytes())


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, _source_server: SourceServer, samples: Samples) -> Said:
    return Said(tmp_path_factory.mktemp("schemas") / "home", _source_server, samples)


@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", COMMANDS)
def test_what_a_command_says_is_what_its_schema_says(said: Said, command: str) -> None:
    validator = Draft202012Validator(schema(command))
    assert said.seen[command]
    assert any(answer["data"] is not None for answer in said.seen[command])
    for answer in said.seen[command]:
        found = [f"{error.json_path}: {error.message}" for error in validator.iter_errors(answer)]
        assert not found, f"{found}\n{answer}"


def test_errors_were_among_them(said: Said) -> None:
    codes = {answer["exit_code"] for answers in said.seen.values() for answer in answers}
    assert {0, 2, 3, 10, 11, 12, 13, 14, 16, 20} <= codes


@pytest.mark.parametrize(
    ("arguments", "command", "item"),
    [
        (("jobs",), "jobs", "JobLine"),
        (("explain", "HTTP Error 404: Not Found"), "explain", "DiagnosisData"),
        (("escalate",), "escalate", "RuleData"),
        (("incidents", "list"), "incidents list", "IncidentData"),
        (("doctor", "--show-config"), "doctor", "SettingData"),
        (("verify-artifacts", "--all", "--level", "checksum"), "verify-artifacts", "VerifyOne"),
        (("verify-artifacts", "--all"), "verify-artifacts", "BadRow"),
    ],
)
def test_every_line_of_ndjson_is_one_item(
    said: Said, arguments: tuple[str, ...], command: str, item: str
) -> None:
    whole = schema(command)
    validator = Draft202012Validator({"$ref": f"#/$defs/{item}", "$defs": whole["$defs"]})
    lines = said.program(*arguments, "--output", "ndjson").splitlines()
    assert lines
    for line in lines:
        validator.validate(json.loads(line))


def test_the_schemas_can_tell_right_from_wrong(said: Said) -> None:
    answer = said.seen["jobs"][0]
    validator = Draft202012Validator(schema("jobs"))
    broken = json.loads(json.dumps(answer))
    broken["data"]["jobs"][0]["status"] = "pending"
    assert not validator.is_valid(broken)
    more = json.loads(json.dumps(answer))
    more["data"]["jobs"][0]["colour"] = "blue"
    assert not validator.is_valid(more)
    less = json.loads(json.dumps(answer))
    del less["data"]["jobs"][0]["attempt"]
    assert not validator.is_valid(less)
