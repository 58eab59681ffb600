"""The table: each fault, of each service, in each phase; and what a run that meets it must say and leave."""

from __future__ import annotations

from dataclasses import dataclass, field

from tests.services.fault_proxy import Fault

ONCE = 0.0
"""A fault of one exchange."""
FOR_GOOD = float("inf")
"""A fault that outlasts the run."""
BLINK = 1.0
"""Seconds of an outage that a run lives through by itself."""

POSTGRES_PHASES = ("downloading", "processing", "storing", "commit")
S3_PHASES = ("downloading", "processing", "storing")


@dataclass(frozen=True, slots=True)
class Case:
    """One fault; without ``cause`` the run must end well, in one attempt."""

    service: str
    phase: str
    fault: Fault
    lasts: float = FOR_GOOD
    cause: str = ""
    codes: frozenset[int] = field(default_factory=lambda: frozenset({0}))
    name: str = ""
    words: tuple[bytes, ...] = ()
    """Of the requests that are struck; else every one, or the next."""

    def __str__(self) -> str:
        lasts = {ONCE: "once", FOR_GOOD: "for good"}.get(self.lasts, f"{self.lasts:g} s")
        return f"{self.service} {self.name or self.fault.kind} in {self.phase}, {lasts}"


def answer(status: int, code: str) -> Fault:
    """S3 answering with an error of its own."""
    body = f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{code} it said</Message></Error>"
    head = f"HTTP/1.1 {status} {code}\r\nContent-Type: application/xml\r\nConnection: close\r\n"
    return Fault("answer", body=f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode())


STUMP = Fault("cut", 3)
LOST = (Fault("refuse"), Fault("reset"), Fault("stall"), STUMP, Fault("drop"))
SLOW = (Fault("throttle", 200_000), Fault("latency", 0.05))
SLOW_DOWN, INTERNAL = answer(503, "SlowDown"), answer(500, "InternalError")
SIGNATURE, NO_BUCKET = answer(403, "SignatureDoesNotMatch"), answer(404, "NoSuchBucket")


def postgres() -> list[Case]:
    """What befalls the line to PostgreSQL. For good, it is ``database_error`` and 20."""
    gone = {"cause": "database_error", "codes": frozenset({20})}
    cases = [Case("postgres", p, f, **gone) for p in POSTGRES_PHASES for f in LOST]  # type: ignore[arg-type]
    cases += [Case("postgres", p, f, BLINK) for p in POSTGRES_PHASES for f in LOST[:3]]
    cases += [Case("postgres", p, f, ONCE) for p in POSTGRES_PHASES for f in LOST[1:] if f.kind != "stall"]
    cases += [Case("postgres", "claim", f, ONCE) for f in (Fault("drop"), STUMP)]
    return cases + [Case("postgres", "downloading", f) for f in SLOW]


CREATE, COMPLETE = (b"POST ", b"uploads"), (b"POST ", b"uploadId=")


def lost_replies() -> list[Case]:
    """The store did it and nobody heard: recognised as success, whether once or at every try."""
    cases = [
        Case(
            "s3",
            "storing",
            Fault(kind),
            lasts,
            name=f"{kind} reply to CompleteMultipartUpload",
            words=COMPLETE,
        )
        for kind, lasts in (("drop", ONCE), ("mute", ONCE), ("drop", FOR_GOOD), ("mute", FOR_GOOD))
    ]
    # Asked again, it begins a second upload: the first, of which nobody has the id, is ended all the same.
    return [
        *cases,
        Case(
            "s3", "processing", Fault("drop"), ONCE, name="drop reply to CreateMultipartUpload", words=CREATE
        ),
    ]


def s3() -> list[Case]:
    """What befalls the line to S3, and what S3 itself may answer."""
    gone = {"cause": "storage_error", "codes": frozenset({20})}
    wrong = {"cause": "storage_error", "codes": frozenset({13})}
    cases = [Case("s3", p, f, **gone) for p in S3_PHASES for f in LOST]  # type: ignore[arg-type]
    cases += [Case("s3", p, f, BLINK) for p in S3_PHASES for f in LOST[:3]]
    cases += [Case("s3", p, f, ONCE) for p in S3_PHASES for f in LOST[1:]]
    for phase in S3_PHASES:
        for name, fault in (("503 SlowDown", SLOW_DOWN), ("500 InternalError", INTERNAL)):
            cases += [Case("s3", phase, fault, FOR_GOOD, name=name, **gone)]  # type: ignore[arg-type]
            cases += [Case("s3", phase, fault, ONCE, name=name)]
        for name, fault in (("403 SignatureDoesNotMatch", SIGNATURE), ("404 NoSuchBucket", NO_BUCKET)):
            cases += [Case("s3", phase, fault, FOR_GOOD, name=name, **wrong)]  # type: ignore[arg-type]
    return [*cases, *lost_replies(), *(Case("s3", "downloading", f) for f in SLOW)]


def source() -> list[Case]:
    """What befalls the line to the source: as it is first asked (``look``) and while bytes come."""
    gone = {"cause": "download_timeout", "codes": frozenset({20})}
    cuts = (Fault("reset"), Fault("stall"), STUMP, Fault("drop"))
    cases = [Case("source", p, f, **gone) for p in ("body", "look") for f in LOST]  # type: ignore[arg-type]
    cases += [Case("source", "body", Fault("cut", 1_000), **gone)]  # type: ignore[arg-type]
    cases += [Case("source", p, f, BLINK) for p in ("look", "body") for f in LOST[:3]]
    cases += [Case("source", p, f, ONCE) for p in ("look", "body") for f in cuts]
    # Cut again and again, and whole all the same: each request goes on where the last one broke off.
    return cases + [Case("source", "body", f) for f in (*SLOW, Fault("cut", 20_000))]


def in_turn(cases: list[Case]) -> list[Case]:
    """Each fault in one phase, the phases in turn; and all that a run must recognise as its own success.

    A reply of three bytes is a lost one, and not played beside it.
    """
    cases = [case for case in cases if case.fault != STUMP]
    seen: dict[tuple[str, float], list[Case]] = {}
    for case in cases:
        seen.setdefault((case.name or f"{case.fault.kind} {case.fault.value}", case.lasts), []).append(case)
    chosen = [same[number % len(same)] for number, same in enumerate(seen.values())]
    lost = [c for c in cases if c.phase in ("claim", "commit") and c.lasts == ONCE]
    return [*chosen, *(case for case in lost if case not in chosen)]
