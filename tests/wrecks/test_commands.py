"""A few wrecks through the program as it is typed: exit codes, and JSON for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ingestctl.domain.verification import Level
from tests.wrecks import breaks, mends
from tests.wrecks.yard import OURS

if TYPE_CHECKING:
    from tests.wrecks.yard import Yard


def lines(envelope: dict[str, Any]) -> list[str]:
    return [f"{line['subject']} {line['verdict']}" for line in envelope["data"]["findings"]]


def test_a_damaged_audio_from_first_look_to_whole(yard: Yard) -> None:
    breaks.audio_truncated(yard)
    before = yard.objects()
    for level in Level:
        code, said = yard.command("verify-artifacts", OURS, "--level", level)
        assert (code, said["status"], said["data"]["verdict"]) == (11, "error", "partial")
        assert lines(said) == ["video intact", "audio partial", "record intact"]
    code, said = yard.command("retry", OURS)
    assert code == 14
    assert "cleanup" in str(said), "it says what to type first"
    assert yard.command("cleanup", OURS, "--dry-run")[0] == 0
    assert yard.command("cleanup", OURS)[0] == 12, "nobody typed the id"
    assert yard.objects() == before
    assert yard.command("cleanup", OURS, "--confirm", OURS)[0] == 0
    assert yard.command("run", "--job-id", OURS)[0] == 0
    code, said = yard.command("verify-artifacts", OURS, "--level", "decode")
    assert (code, said["data"]["verdict"]) == (0, "intact")
    rows = yard.everything()
    assert yard.command("run", "--job-id", OURS)[0] == 0
    assert yard.everything() == rows
    assert before[yard.audio].data in [thing.data for thing in yard.objects().values()], "in quarantine"


def test_a_foreign_object_goes_only_by_id(yard: Yard) -> None:
    breaks.foreign_over_video(yard)
    before = yard.objects()
    assert yard.command("verify-artifacts", OURS)[0] == 11
    for words in ([], ["--confirm", OURS], ["--purge", "--confirm", OURS]):
        code, said = yard.command("cleanup", OURS, *words)
        assert (code, said["status"]) == (14, "error")
        assert yard.objects() == before
    assert yard.command("cleanup", OURS, "--include-valid")[0] == 12
    assert yard.objects() == before


def test_a_live_job_is_nobody_elses(yard: Yard) -> None:
    breaks.live_upload(yard)
    before = yard.everything()
    assert yard.command("verify-artifacts", OURS)[0] == 20
    assert yard.command("retry", OURS)[0] == 14
    assert yard.command("cleanup", OURS, "--confirm", OURS)[0] == 14
    assert yard.command("run", "--job-id", OURS)[0] == 21
    assert yard.everything() == before
    mends.lease_runs_out(yard)
    assert yard.command("cleanup", OURS, "--confirm", OURS)[0] == 0
    assert yard.command("run", "--job-id", OURS)[0] == 0
    assert yard.command("verify-artifacts", OURS, "--level", "decode")[0] == 0
