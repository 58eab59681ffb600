"""The words of settings, command lines, programs and libraries that a worker needs.

A part of the table that begins in :mod:`ingestctl.domain.service_words`; the order of its rows matters.
"""

from __future__ import annotations

from ingestctl.domain.cause_signs import Sign
from ingestctl.domain.cause_signs import words as _words

SETTING_SIGNS: tuple[Sign, ...] = (
    Sign(  # data that is not as the program expects it, unless it is the program's own settings
        _words(
            r"\d validation errors? for \w*(?:job|payload|message|event|video|request|body|item|response|"
            r"meta)"
        ),
        "internal",
        "after-fix",
    ),
    Sign(
        _words(r"\[type=\w+, input_value=|\(type=(?:value|type)_error\."),
        "configuration",
        "after-fix",
        weight=1,
    ),
    Sign(
        _words(
            # settings, in the environment and in files
            r"missing required environment|source_profile|(?:failed to parse|cannot read|could not (?:read|"
            r"parse|load)|"
            r"error (?:reading|parsing|loading)) \S{0,200}/\S{1,80}\.(?:json|ya?ml|toml|ini|cfg|conf)\b|"
            r"environment variable .{1,60} (?:must|invalid)|bad value substitution|"
            r"cannot be expanded\. available|"
            r"(?-i:\b(?:SSL_CERT_(?:FILE|DIR)|(?:REQUESTS|CURL)_CA_BUNDLE)\b)|unknown level: '|"
            r"(?-i:\b[A-Z][A-Z0-9]+_[A-Z0-9_]{2,40}: (?:expected|must|bad|invalid|not a|missing|unknown)\b)|"
            r"(?-i:bad value for [A-Z]{3})|(?-i:\b[A-Z][A-Z0-9]+_[A-Z0-9_]{2,40} must be )|"
            r"unknown (?:config\w* |setting )?key \"|\bin proxy: '|unbound variable",
            r"cannot start any token|could not find expected ':'|while parsing a (?:block|flow) |"
            r"expected <block end>|\(at line \d+, column \d+\)|python-dotenv could not parse|"
            r"unsupported platform: |invalid plugin directory|no time ?zone found with key|"
            r"cannot change locale|invalid json in (?:config|settings)|"
            r"config(?:uration)?(?: file)? \S{0,100}[/.]\S{1,100}(?:: | is | was | does )(?:invalid|not |"
            r"missing|unreadable|"
            r"malformed|parse|syntax)",
            # command lines
            r"\bmissing (?:option|argument|parameter) '-|error: (?:missing (?:option|argument|parameter|"
            r"command)|no such (?:command|option)|"
            r"got unexpected extra argument|option '[^']{1,40}' (?:requires|does not take)|"
            r"ambiguous option|unknown (?:flag|command|shorthand))|^usage: \S{1,60} \[|unknown flag: --",
            # programs and libraries
            r"(?:folder|directory) \S{1,200} (?:does not exist|is not writable|is missing)|"
            r"failed to run command|unknowncodecerror|couldn't find the codec|failed to open model file|"
            r"is not executable\b|unable to start \S+: access denied|procfile does not exist|"
            r"symbol lookup error|undefined symbol|invalid elf header|\bfile too short$|"
            r"cannot read file data|"
            r"module export function|bad interpreter|not found (?:on|in) (?:the |your )?\$?path\b|"
            r"python \d\.\d+ or (?:later|newer|higher)|no matching distribution|"
            r"(?:requires|needs) (?:a )?(?:newer|different) (?:version of )?(?:python|glibc|openssl)",
            # the system that starts it
            r"failed to change user|crontab file will be|while reading /etc/cron|^error: invalid user name|"
            r"runasnonroot|set up mount namespacing|load environment files|unit \S{1,80}\.(?:service|timer|"
            r"socket) not found|"
            r"(?:failed|unable) to (?:start|set up) (?:mount|user|network) namespac|x-squid|"
            r"\bsockshttps?connection|\(squid/|"
            r"cannot complete socks",
        ),
        "configuration",
        "after-fix",
    ),
    Sign(
        _words(
            r"resource temporarily unavailable: fork|worker (?:process )?\S{1,20} died|terminatedworkererror|"
            r"(?:process|worker|pod|container|task) .{0,60}unexpectedly (?:terminated|died|exited|killed)|"
            r"cancell?ed on shutdown|pod (?:was )?deleted while|heartbeat of .{1,60} (?:missed|lost)|"
            r"\brc=(?:-\d|13\d|143)\b|spot (?:task|instance) was|spotinterruption|illegal instruction|"
            r"^.{0,60}failed: \[errno 11\] resource temporarily|"
            r"page allocation failure|rejected by pids controller|reserve page summary|memory exhausted by|"
            r"blockingioerror: \[errno 11\]|(?:process|"
            r"worker) .{0,60}exited unexpectedly|\btraps: |"
            r"\btrap invalid opcode|"
            r"process '\S{1,40}' pid:\d+ exited|(?:marking|marked) (?:job|task|run) as lost",
        ),
        "worker_crashed",
        "yes",
    ),
)
