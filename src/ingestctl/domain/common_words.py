"""The words anybody may say: the worker's surroundings, connections, and vague words.

The end of the table that begins in :mod:`ingestctl.domain.service_words`. Its last rows
have weight 1: they only count when nothing better was said.
"""

from __future__ import annotations

from ingestctl.domain.cause_signs import TRANSPORT, TROUBLE, Sign
from ingestctl.domain.cause_signs import words as _words
from ingestctl.domain.source_words import UPDATE

COMMON_SIGNS: tuple[Sign, ...] = (
    # --- the worker's surroundings -------------------------------------------------------------
    Sign(
        _words(
            r"proxy (?:error|server|connection)|(?:unable|failed|cannot) (?:to )?connect to (?:the )?proxy",
            r"proxyerror|tunnel connection failed|socks\d? ?(?:proxy|error)|407 proxy|tunneling socket|"
            r"resolve proxy|"
            r"proxy url|proxyscheme\w+|unsupported proxy|proxy tunneling|proxy authentication|"
            r"TLS (?:certificate|key) file, invalid path|"
            r"socks\d authentication|socks support|connection to proxy|connect tunnel|invalidproxy|"
            r"socks version",
        ),
        "configuration",
        "after-fix",
        guidance="The proxy refuses or cannot be reached: check the proxy settings, then retry.",
    ),
    Sign(
        _words(
            r"permission denied(?!: http)|\bEACCES\b|\bEROFS\b|read-only file system|too many open files|"
            r"\bEMFILE\b",
            r"operation not permitted|permissionerror|curl: \(23\)|failed writing body|"
            r"failure writing output",
            r"unable to (?:open for writing|create directory|rename file)|file name too long",
            r"validation errors? for \w*settings|settingserror|dynaconf|no such option|extra inputs are not",
            r"(?<!aws: )error: (?:the following arguments are required|argument \S{1,60}: )|"
            r"configparser\.|no section: |tomldecodeerror|unable to configure handler|zoneinfonotfound|"
            r"ca certificate bundle|no file descriptors",
            r"config(?:uration)? (?:profile|file|error)|invalid endpoint",
            r"(?:environment variable|setting)s? .{0,60}(?:not set|missing|required|unknown)|netscape format",
            r"no such file or directory: \S{0,80}cookies|invalid .{0,60}environment variable",
            r"cookies? database|cookies? file|improperlyconfigured|invalid (?:value|choice) for",
            r"\b(?-i:[A-Z][A-Z0-9_]{4,40}) (?:is|are|was|must be|env\w* \w+) (?:required|set|not set|missing|"
            r"undefined|not defined)|"
            r"unrecognized arguments|missing required (?:option|argument|setting)",
            r"no supported javascript runtime|unknown setting|fixed output name|(?:address|"
            r"port) (?:is )?(?:already )?(?:in use|allocated)|"
            r"errno (?:98|48)\b|winerror 10048\b|"
            r"keyerror: ['\"](?-i:[A-Z][A-Z0-9_]{3,40})['\"]|cannot be used without|ca certificates|"
            r"error setting certificate",
            r"parameter validation failed|mount(?:ing|volume).{0,40}fail|imagepullbackoff|errimagepull",
            r"createcontainerconfigerror|couldn.t find key|secret \"[^\"]{0,80}\" not found|configmap \"",
        ),
        "configuration",
        "after-fix",
    ),
    Sign(
        _words(
            r"ssl_error_syscall|ssl_\w+: (?:connection|operation)|eof occurred|unexpected.eof|ssleoferror|"
            r"bad.record.mac|decryption.failed|no data returned|"
            r"timed out during \w{0,20} ?handshake|handshake was aborted|handshake.{0,80}(?:reset|closed|"
            r"timed? ?out|"
            r"pull function|eof\b)"
        ),
        "download_timeout",
        "yes",
    ),
    Sign(_words(r"no certificate or crl found"), "configuration", "after-fix"),
    Sign(
        _words(
            r"ssl: |initializesecuritycontext|certificate verify|maximum \(\d+\) redirects|was not ok\b|"
            r"redirects followed|certificate_verify|ssl3?_|self[- ]signed|wrong version number|tlsv1",
            r"redirections exceeded|maximum allowed redirects|curl: \((?:9|63|67|94)\)|locally verify|"
            r"cannot verify .{1,80} certificate|"
            r"no certificate presented|"
            r"not trusted\b|known issuer|owner does not match|certificate (?:problem|"
            r"has expired|is not)|local issuer|x509|toomanyredirects|"
            r"exceeded \d+ redirects",
            r"handshake|peer certificate|PeerUnverified|infinite loop|certificateerror|"
            r"hostname .{1,80} doesn.t match|redirect loop|"
            r"too many redirects",
        ),
        "download_blocked",
        "after-fix",
        guidance="The source's TLS or redirects cannot be trusted: check URL, clock and CA certificates.",
    ),
    Sign(  # a pipe to a program breaks so too
        _words(r"^(?:\w{2,40}: )?\[errno 32\] broken pipe"),
        "download_timeout",
        "yes",
        weight=1,
    ),
    Sign(
        _words(*TRANSPORT),
        "download_timeout",
        "yes",
    ),
    Sign(
        _words(r"\[(?:https?|tcp|tls|udp|rtmps?|rtsp|rtp|srt|hls|dash|hls,applehttp|httpproxy|crypto) @"),
        "download_timeout",
        "yes",
        where="media",
        weight=1,
    ),
    Sign(
        _words(
            r"service unavailable|bad gateway|gateway time|internal server error|temporarily unavailable",
            r"temporary (?:failure|error)|try again later|fragment .{0,40}(?:unable|fail)",
            r"unable to continue|server error|network error|overloaded|maintenance|downstream",
            r"while receiving data|\bdisconnected at|unable to communicate|"
            r"cannot download|could not download the whole|"
            r"too slow|"
            r"got (?:server http )?error",
        ),
        "download_timeout",
        "yes",
        where="source",
    ),
    Sign(_words(r"username/password authentication failed"), "download_blocked", "after-fix"),
    Sign(  # what says how it ended, after the line that told why
        _words(
            r"incomplete data received|giving up after \d+|downloaded file is empty|"
            r"unable to establish ssl connection"
        ),
        "download_timeout",
        "yes",
        weight=1,
    ),
    Sign(_words(r"4xx client error"), "download_blocked", "after-fix", weight=1),
    Sign(  # a tool's own summary, after the line that told
        _words(
            r"failed to download (?:entry|item|video|url)\W*$|^\W*(?:error: )?download (?:has )?failed\W*$"
        ),
        "download_blocked",
        "after-fix",
        weight=0,
        guidance=UPDATE,
    ),
    # --- vague words: only when nothing better was said ---------------------------------------------
    Sign(  # the operating system about a file, in whatever words or language
        _words(
            r"\[errno (?:1|5|6|9|13|16|18|19|2[0-467]|30|36|39|40|116|117|121)\]|too many files open",
            r"winerror (?:5|32|33|123|206|267|1920)\b|os error 5\b|structure needs cleaning|"
            r"stale (?:nfs )?file handle|"
            r"remote i/o error|(?:device or resource|text file) busy|invalid cross-device|access is denied",
            r"no such file or directory: ['\"]?/|/\S{1,200}\.\w{2,5}: no such file|not a directory|"
            r"is a directory|symbolic links|superblock|bad file descriptor|"
            r"argument list too long",
        ),
        "configuration",
        "after-fix",
        weight=1,
    ),
    Sign(
        _words(r"invalid data found when processing|failed to recognize file format"),
        "not_media",
        "no",
        weight=1,
    ),
    Sign(
        _words(
            r"conversion failed|@ (?:0x)?[0-9a-f]{6,16}\] .{0,60}(?:invalid argument|generic error)|"
            r"error opening input|postprocess(?:ing|or)|non-zero exit-code",
        ),
        "audio_extraction_failed",
        "after-fix",
        weight=1,
    ),
    # the last of ffmpeg
    Sign(
        _words(
            r"ff(?:mpeg|probe)\S{0,8} (?:exited|failed|returned|error|died|process)|ffmpeg\w*(?:error|"
            r"exception)",
            r"exited with (?:exit )?code \d.{0,200}ffmpeg|ff(?:mpeg|probe)\S{0,8}.{0,600}non-zero exit|"
            r"(?:error|fail\w*).{0,30}\bff(?:mpeg|probe)\b",
        ),
        "audio_extraction_failed",
        "after-fix",
        weight=0,
    ),
    # --- who is talking, where their words are not known --------------------------------------
    Sign(_words(TROUBLE), "database_error", "after-fix", where="database", weight=1),
    Sign(_words(TROUBLE), "storage_error", "after-fix", where="storage", weight=1),
    Sign(
        _words(
            r"urlopen error|urlerror\(|transporterror|requests\.exceptions\.(?!json)\w+|"
            r"urllib3?\.(?:exceptions|error)\.\w+|http\.client\.\w+|"
            r"(?:aiohttp|httpx|httpcore|pycurl)\.\w+",
        ),
        "download_timeout",
        "yes",
        weight=1,
    ),
    # --- the extractor is too old: only when nothing better was said ----------------------------
    Sign(
        _words(
            r"unable to (?:extract|find|parse|decode|get|resolve|log)",
            r"failed to (?:extract|parse|decode|decrypt|get|fetch|find|retrieve)",
            r"could not (?:extract|find|parse|retrieve|get)",
            r"(?:signature|nsig|n-sig|n challenge|player|javascript).{0,40}(?:fail|unable|error|solv)",
            r"no (?:video )?formats|requested format|please report this issue|confirm you are on the latest",
            r"unexpected|unable to|failed to|failed:|failed$|could not|cannot|unknown|unrecognized|"
            r"unsupported|missing|incomplete|empty|expecting|did not get|not supported|unsuccessful|"
            r"can not|querying|invalid (?:json|response|data|xml)|json|\btokens?\b|extractor(?: error|error)|"
            r"unable to download",
            r"an extractor error|regex|unsupported (?:player|page|manifest|entity)|unplayable",
            r"no video formats|outdated|latest version",
            TROUBLE,
            r"^\W*error: |\]\s?\[error\]|\bsaid: |returned error|returns error",
        ),
        "download_blocked",
        "after-fix",
        where="source",
        weight=1,
        guidance=UPDATE,
    ),
    Sign(
        _words(
            r"no video formats found|requested format (?:is )?not available|please report this issue on",
            r"unable to extract \w+|(?:signature|nsig) extraction failed|could not find .{0,60} in (?:html|"
            r"webpage)",
            r"(?:can.t|can ?not|could ?n[o']t|could not|unable to|fail\w* to) (?:extract|find|parse|get|"
            r"fetch|"
            r"decode|resolve) (?:\w+ ){0,3}(?:videos?|media|player|streams?|meta ?data|title|m3u8|manifest|"
            r"playlist|web ?page|page|html|formats?|urls?|info)\b",
        ),
        "download_blocked",
        "after-fix",
        weight=1,
        guidance=UPDATE,
    ),
)
