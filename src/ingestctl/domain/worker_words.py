"""The words of the worker itself: killed, out of memory, cut off.

A part of the table that begins in :mod:`ingestctl.domain.service_words`; the order of its rows matters.
"""

from __future__ import annotations

from ingestctl.domain.cause_signs import Sign
from ingestctl.domain.cause_signs import words as _words

WORKER_SIGNS: tuple[Sign, ...] = (
    # --- the worker itself --------------------------------------------------------------------
    Sign(
        _words(
            r"\bOOM ?killed\b|oom[-_ ]kill|\bsystem ?OOM\b|invoked oom|out of memory|memory cgroup|"
            r"out ?of ?memory|"
            r"due to memory|out_of_memory|oom_synchronize|killed as a result of limit|\bMemoryError\b",
            r"cannot allocate memory|errno[ :=]*12\b|winerror (?:8|1450|1455)\b|paging file|"
            r"virtual memory exhausted",
            r"fork: .{0,20}resource temporarily|memory ?pressure|heap out of memory|malloc\(\)|"
            r"invalid pointer",
            r"general protection|dumped core|blocked for more than \d+ seconds|heap corruption|"
            r"access violation",
            r"-1073741819|0xC0000005|3221225\d{3}|invalid memory address|nil pointer dereference|"
            r"concurrent map",
            r"backoff limit|active longer than specified deadline|deadlineexceeded.{0,20}job|"
            r"node (?:is )?shut(?:ting )?down|"
            r"TaintManagerEviction|NodeNotReady|node is not ready|preempted|preempting|essential container|"
            r"start request repeated|state '[\w-]{1,30}' timed out|containerstatusunknown|node ?lost",
            r"worker(?:losterror| exited| was terminated|.{0,40}sent sig(?:kill|term|segv|abrt))",
            r"worker timeout",
            r"(?:exit|return)(?:ed)?(?: with)?(?: non-zero)?(?: (?:exit|return))?[ _-]?(?:code|"
            r"status)?[\" :=(]{0,4}(?:-9|-11|-6|"
            r"13[479]|143|247)\b(?! [a-z]{2,20}s\b)",
            r"signal[ :=]{1,3}(?:9|6|11|15|kill(?:ed)?)\b|\bSIG(?:KILL|SEGV|ABRT|BUS|ILL)\b",
            r"died with <signals",
            r"killed process \d|killed by signal|terminated by signal|received signal|segmentation fault|"
            r"core dumped|segfault",
            r"fatal python error|brokenprocesspool|terminated abruptly|process pool was|^\s*killed\s*$",
            r"line \d+:\s+\d+ (?:killed|aborted|terminated)|^\s*terminated\s*$|signal: (?:killed|terminated|"
            r"aborted)|bus error|breakpoint trap|stack smashing|double free",
            r"free\(\): invalid|corrupted (?:size|double)|crashloopbackoff|restarting failed container",
            r"pod .{0,80}(?:evicted|was preempted)|\bpods? .{0,60}evicted|reason: {0,20}evicted|node (?:is|"
            r"was) (?:lost|low on)",
            r"low on resource|code=(?:killed|dumped), status=|attempting to kill|killing process|"
            r"jobtimeout|task exceeded|memory (?:quota|limit) .{0,12}exceeded|thread creation failed|"
            r"low memory|watchdog|failed with result .(?:signal|core|oom|watchdog|timeout|resources)|"
            r"oom_(?:score|reaper)|\boomd killed|(?:liveness|readiness|"
            r"startup) probe|TimeLimitExceeded|panic: (?:runtime|assertion)|"
            r"goroutine \d+ \[running|\bSIGTERM\b|lease expired|(?:missed|no|lost) heartbeat|"
            r"heartbeat (?:lost|failed|timed|timeout|expired|missed)|unable to allocate",
            r"can't start new thread|realloc: cannot|xmalloc: |cannot allocate \d+ bytes|"
            r"memory allocation error|malloc failed|"
            r"(?:exit|return)(?:ed)?[ _-]?(?:code|"
            r"status)?.{0,40}\b(?:137|139)\b(?! [a-z]{2,20}s\b)|bad_alloc|terminated unexpectedly",
            r"(?-i:\bOOM\b)|taskrun.{0,40}killed|abandonedjoberror",
            r"process .{0,60}crashed|worker (?:has )?(?:died|crash)",
        ),
        "worker_crashed",
        "yes",
    ),
    Sign(  # a process or thread could not be made
        _words(r"blockingioerror: \[errno 11\] resource temporarily unavailable$"),
        "worker_crashed",
        "yes",
        weight=1,
    ),
    Sign(  # what these begin, the lines that follow only complain of
        _words(r"pthread_create(?:\(\))? failed|malloc of size \d+ failed"),
        "worker_crashed",
        "yes",
        weight=3,
    ),
    Sign(
        _words(
            r"load_verify_locations error|could not write header.{0,80}: (?:no such file|permission|"
            r"read-only)|"
            r"cannot load libcuda|could not dynamically load"
        ),
        "configuration",
        "after-fix",
        weight=3,
    ),
    Sign(_words(r"ssl\.py\", line \d+, in (?:create_default|load_)"), "configuration", "after-fix", weight=1),
    Sign(
        _words(
            r"stream ends prematurely at|rtmp handshake|(?:during demuxing|"
            r"error opening input): connection (?:timed|reset|ref)"
        ),
        "download_timeout",
        "yes",
        weight=3,
    ),
)
