"""The four rules: when each fires, when it must not, and with which numbers."""

from __future__ import annotations

import random
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from ingestctl.domain.escalation import (
    Checks,
    RuleResult,
    Tally,
    Thresholds,
    evaluate,
    tally,
    worker_host,
    worst,
)

T0 = datetime(2026, 3, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Fact:
    job_id: str
    cause: str | None
    source: str = "a.example"
    minute: float = 0
    owner: str | None = "me@host1:1:x"

    @property
    def at(self) -> datetime:
        return T0 + timedelta(minutes=self.minute)


def rules(
    *facts: Fact, checks: Checks | None = None, limits: Thresholds | None = None
) -> dict[str, RuleResult]:
    ordered = sorted(facts, key=lambda f: f.at)
    return {r.rule: r for r in evaluate(tally(ordered), checks or Checks(), limits or Thresholds())}


def failed(count: int, cause: str, **more: object) -> list[Fact]:
    return [Fact(f"{cause}-{more.get('source', '')}{n}", cause, minute=n, **more) for n in range(count)]  # type: ignore[arg-type]


def test_nothing_that_happened_fires_nothing() -> None:
    found = rules()
    assert [r.fired for r in found.values()] == [False] * 4
    assert list(found) == ["same_source", "storage_unavailable", "worker_crashing", "corruption"]
    assert worst(found.values()) is None


@pytest.mark.parametrize(("count", "fired"), [(4, False), (5, True), (6, True)])
def test_same_source_fires_from_its_threshold_on(count: int, fired: bool) -> None:
    rule = rules(*failed(count, "download_blocked"))["same_source"]
    assert rule.fired is fired
    assert rule.numbers["failed_jobs"] == count
    assert rule.numbers["top_cause"] == "download_blocked"
    assert rule.severity == ("SEV-3" if fired else None)
    assert len(rule.jobs) == count


def test_many_successes_with_the_same_source_keep_it_quiet() -> None:
    well = [Fact(f"well{n}", None, minute=n) for n in range(10)]
    rule = rules(*failed(6, "download_blocked"), *well)["same_source"]
    assert not rule.fired
    assert rule.numbers["share"] == 0.375


def test_one_job_that_fails_ten_times_is_one_job() -> None:
    again = [Fact("j", "download_blocked", minute=n) for n in range(10)]
    assert not rules(*again)["same_source"].fired


def test_our_own_failures_are_not_blamed_on_the_source() -> None:
    found = rules(*failed(9, "storage_error"), *failed(9, "worker_crashed"), *failed(9, "disk_full"))
    assert not found["same_source"].fired


def test_failures_spread_over_sources_are_no_single_source() -> None:
    spread = [Fact(f"j{n}", "download_blocked", source=f"s{n}.example") for n in range(12)]
    assert not rules(*spread)["same_source"].fired


def test_every_source_over_the_threshold_is_named_and_the_worst_speaks() -> None:
    found = rules(*failed(5, "not_media", source="b"), *failed(25, "rate_limited", source="c"))["same_source"]
    assert found.numbers["sources_over_threshold"] == ["b", "c"]
    assert found.numbers["source"] == "c"
    assert found.severity == "SEV-2"
    assert len(found.jobs) == 20


def test_storage_that_nothing_has_got_through_to_since_is_the_gravest() -> None:
    before = Fact("ok", None, minute=-5)
    rule = rules(before, *failed(3, "storage_error"))["storage_unavailable"]
    assert (rule.fired, rule.severity) == (True, "SEV-1")


def test_storage_that_fails_now_and_then_is_less_grave_and_recovered_least() -> None:
    between, after = Fact("ok", None, minute=1.5), Fact("ok2", None, minute=9)
    rule = rules(*failed(3, "storage_error"), between)["storage_unavailable"]
    assert (rule.fired, rule.severity) == (True, "SEV-2")
    rule = rules(*failed(3, "storage_error"), between, after)["storage_unavailable"]
    assert (rule.fired, rule.severity) == (True, "SEV-3")


def test_few_storage_failures_among_many_jobs_are_quiet() -> None:
    well = [Fact(f"ok{n}", None, minute=n / 10) for n in range(100)]
    assert not rules(*failed(3, "storage_error"), *well)["storage_unavailable"].fired
    assert not rules(*failed(2, "storage_error"))["storage_unavailable"].fired


def test_crashes_are_told_by_host_and_by_job() -> None:
    hosts = [Fact(f"j{n}", "worker_crashed", owner=f"u@h{n % 2}:{n}:t") for n in range(5)]
    rule = rules(*hosts)["worker_crashing"]
    assert (rule.fired, rule.severity) == (True, "SEV-2")
    assert rule.numbers["worst_worker"] == "h0"
    assert rule.numbers["worst_worker_crashes"] == 3
    poison = [Fact("j", "worker_crashed", minute=n) for n in range(3)]
    rule = rules(*poison)["worker_crashing"]
    assert (rule.fired, rule.severity, list(rule.jobs)) == (True, "SEV-3", ["j"])
    assert not rules(*poison[:2])["worker_crashing"].fired


@pytest.mark.parametrize(
    ("checked", "bad", "severity"),
    [(0, 0, None), (100, 2, None), (1000, 3, None), (300, 3, "SEV-2"), (60, 3, "SEV-1"), (3, 3, "SEV-1")],
)
def test_corruption_needs_a_number_and_a_share(checked: int, bad: int, severity: str | None) -> None:
    rule = rules(checks=Checks(checked, bad, ["j"]))["corruption"]
    assert rule.severity == severity
    assert rule.fired is (severity is not None)
    assert (rule.numbers["verified_artifacts"], rule.numbers["bad_artifacts"]) == (checked, bad)


def test_thresholds_are_what_decides() -> None:
    low = Thresholds(source_jobs=1, storage_jobs=1, crashes=1, corrupt=1, corrupt_share=0)
    facts = [Fact("a", "not_media"), Fact("b", "storage_error"), Fact("c", "worker_crashed")]
    assert all(r.fired for r in rules(*facts, checks=Checks(100, 1), limits=low).values())
    assert not any(r.fired for r in rules(*facts, checks=Checks(100, 1)).values())


def test_joined_tallies_say_what_one_tally_says() -> None:
    chance = random.Random(7)
    causes = (None, None, "storage_error", "worker_crashed", "rate_limited", "not_media", "internal")
    facts = [
        Fact(f"j{chance.randrange(30)}", chance.choice(causes), f"s{chance.randrange(3)}", minute)
        for minute in range(300)
    ]
    joined = Tally()
    for start in range(0, 300, 7):
        joined.join(tally(facts[start : start + 7]))
    limits = Thresholds()
    assert evaluate(joined, Checks(), limits) == evaluate(tally(facts), Checks(), limits)


@pytest.mark.parametrize(
    ("owner", "host"),
    [("u@h:1:t", "h"), ("u@x@h:1:t", "h"), (None, "unknown"), ("", "unknown"), ("me", "me")],
)
def test_a_workers_host(owner: str | None, host: str) -> None:
    assert worker_host(owner) == host
