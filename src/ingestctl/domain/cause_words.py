"""The words of services, tools and the worker itself, as an ordered table.

One line of text is looked at by the rows of :data:`SERVICE_SIGNS` in order and the
first that matches speaks for the line. To teach a new wording, add it to the
row of its family; a row of its own is needed only where retryability or
guidance differ. The words of sources follow in :mod:`ingestctl.domain.source_words`.
Patterns must not nest repetitions: input may be hostile.
"""

from __future__ import annotations

from ingestctl.domain.cause_signs import TRANSPORT, Sign
from ingestctl.domain.cause_signs import words as _words

_SILENT = "The video has no audio to extract; a transcript cannot be made from it."
_CREDENTIALS = "Storage refused who we are: check S3_ACCESS_KEY, S3_SECRET_KEY and the bucket policy."
_TOOL = "A program or library the worker needs is missing or too old: install it, then retry."

SERVICE_SIGNS: tuple[Sign, ...] = (
    # --- a full disk, whoever says it ---------------------------------------------------------
    Sign(
        _words(
            r"no space left|\bENOSPC\b|\bEDQUOT\b|errno[ :=]*(?:28|122)\b|os error (?:28|122|112)\b",
            r"winerror 112|not enough (?:free )?(?:disk )?space|disk quota exceeded",
            r"file ?system (?:is )?full|out of disk space",
            r"(?:disk|drive|device|volume|partition) (?:is )?full\b|SQLITE_FULL",
            r"insufficient (?:disk )?(?:space|storage)|storage ?full|minimum free (?:disk|drive)",
            r"sqlstate[\s:=(]{0,3}53100|bucket quota|quota of the bucket|ephemeral[- ](?:local )?storage",
            r"usage .{0,60}exceeds the|no (?:more )?(?:free|writable) volumes|low (?:on )?disk|"
            r"flood[- ]stage|(?:no free|out of) inodes|"
            r"disk space (?:is )?(?:low|exhausted)|disk ?pressure|exceeded its quota.{0,40}storage",
        ),
        "disk_full",
        "after-fix",
        weight=3,
    ),
    # --- PostgreSQL and SQLite ---------------------------------------------------------------
    Sign(
        _words(
            r"(?:password|peer|ident|sasl|scram|md5|gssapi|ldap)[\w ]{0,12} authentication failed",
            r"no pg_hba\.conf entry|authentication failed for user",
            r"role \"[^\"]{0,80}\" (?:does not exist|is not permitted)|no password supplied",
            r"database \"[^\"]{0,80}\" does not exist|permission denied for (?:table|schema|relation)",
            r"permission denied for (?:database|sequence|function|column|view|language)",
            r"must be (?:owner|superuser)|row-level security policy|invalid dsn|missing \"=\" after",
            r"invalid connection option|requires ssl|ssl off|does not support ssl|insufficientprivilege",
            r"could not translate host name|could not parse.{0,40}url from",
        ),
        "database_error",
        "after-fix",
        guidance="The database refused us: check DATABASE_URL (host, user, password, name) and grants.",
    ),
    Sign(
        _words(
            r"(?:relation|column|table|schema|type|function|operator|"
            r"constraint) \"?[\w.\"]{1,120}.{0,60} does not exist",
            r"no such (?:table|column)|undefined(?:table|column)|has no column named|can't locate revision",
            r"already exists.{0,20}relation|relation \"[^\"]{0,80}\" already exists|multiple head|"
            r"single head|not up to date",
        ),
        "database_error",
        "after-fix",
        guidance="The schema is not the one this program needs: run `ingestctl db upgrade`.",
    ),
    Sign(
        _words(
            r"violates (?:unique|foreign key|check|not-null|exclusion) constraint|null value in column",
            r"(?:unique|foreign key|check|not null) constraint failed|syntax error at or near",
            r"invalid input syntax|value too long for type|(?:integer|numeric|bigint|smallint|value|"
            r"timestamp) out of range|current transaction is aborted",
            r"in failed sql transaction|database disk image is malformed|not a database\b|readonly database",
            r"read-only (?:transaction|database)|unable to open database|could not open relation",
            r"invalid page in block|could not read block|(?-i:PANIC: {2}|PANIC: could)|disk i/o error",
            r"SQLITE_(?:CORRUPT|READONLY|NOTADB|IOERR|CANTOPEN|CONSTRAINT)|datatype mismatch",
            r"invalid byte sequence for encoding|could not access status of transaction",
            r"could not determine data type|unsupported (?:startup|frontend)|can't adapt type",
            r"missing chunk number|cached plan must not change|cannot execute \w+ in a read-only",
            r"could not write (?:block|to file)|not accepting commands",
        ),
        "database_error",
        "after-fix",
    ),
    Sign(
        _words(
            r"server closed the connection|could not connect to server|connection to server (?:at|on)",
            r"database (?:table |schema )?is locked|SQLITE_(?:BUSY|LOCKED)|deadlock detected",
            r"could not serialize|too many (?:clients|connections for)|remaining connection slots",
            r"sorry, too many|queuepool limit|database system is (?:starting|shutting|in recovery|not yet)",
            r"terminating connection|canceling statement|cancell?ing (?:authentication|autovacuum)",
            r"lock timeout|could not obtain lock|query_wait_timeout|admin shutdown|ssl syscall",
            r"ssl connection has been closed|connection (?:already|is) closed",
            r"couldn't get a connection after|conflict with recovery",
            r"terminated by signal.{0,80}server process|server process.{0,80}terminated by signal",
            r"another server process exited|because of crash|pool(?:timeout| timeout)|idle-in-transaction",
            r"cannot connect now|lost synchronization|out of shared memory",
            r"could not receive data from (?:server|client)|locking protocol|could not send (?:data|ssl)",
            r"the connection is (?:lost|closed)|schema has changed|no more connections allowed",
            r"consuming input failed|sending query failed|connection slots|pgbouncer cannot connect",
            r"server conn crashed|postmaster exit|eof on client connection|server login has been",
        ),
        "database_error",
        "yes",
    ),
    Sign(
        _words(
            r"cursor already closed|took too long|bad connection|lock not available|max clients|"
            r"rolled back due|can.t reconnect|invalid transaction|transaction is rolled back|recovery mode|"
            r"shutting down|connection.{0,30}(?:exhausted|in use|lost|dead|gone away)|query timeout",
            r"out of memory|memory exhausted|ssl error|decryption failed|try again|temporar|too many|"
            r"terminated by signal|interrupted system call|could not fork|not available|unavailable",
            r"dial (?:tcp|unix).{0,80}(?:no such file|connect)|is the server running|failover|"
            r"not the primary",
            *TRANSPORT,
        ),
        "database_error",
        "yes",
        where="database",
    ),
    # --- object storage -----------------------------------------------------------------------
    Sign(
        _words(
            r"slow ?down|reduce (?:your|the) (?:request )?rate|rate[- ]?limit|too ?many ?requests|throttl",
            r"did not match data received|reading uploaded data|more than one upload|get upload url|"
            r"beginning of value|remote error: |(?:upload|multipart) does not exist|expired upload",
        ),
        "storage_error",
        "yes",
        where="storage",
    ),
    Sign(
        _words(
            r"unable to locate credentials|partial credentials|error when retrieving credentials",
            r"no ?credentialserror|accessdenied|access denied|access key id you provided",
            r"signature we calculated|request has expired|invalidaccesskeyid|signaturedoesnotmatch",
            r"expiredtoken|security token included|allaccessdisabled|token has expired|token is expired",
            r"authenticate the request|authorization header|signature did not match|required permission|"
            r"authenticationfailed|"
            r"sso session|forbidden|unauthorized|not authorized|difference between the request time",
            r"failed to refresh|invalid access key|credentials",
        ),
        "storage_error",
        "after-fix",
        where="storage",
        guidance=_CREDENTIALS,
    ),
    Sign(
        _words(
            r"unable to locate credentials|partial credentials found",
            r"access key id you provided does not exist|signature we calculated does not match",
            r"invalidaccesskeyid|signaturedoesnotmatch",
        ),
        "storage_error",
        "after-fix",
        guidance=_CREDENTIALS,
    ),
    Sign(
        _words(
            r"nosuchbucket|bucket does not exist|nosuchkey|specified key does not exist|invalid bucket name",
            r"bucket \S{1,80} (?:does not exist|not found)|permanentredirect|must be addressed using",
            r"preconditionfailed|pre-conditions you specified|entitytoolarge|methodnotallowed|invalidpart\b",
            r"object (?:is )?(?:locked|immutable)|\bworm\b|ssl validation failed|certificate",
            r"unsupported configuration|invalid_grant|exceeded (?:total|the (?:max|allowed))|too large|"
            r"maximum allowed|does not have .{0,60}access|badrequest|authorizationheadermalformed",
            r"region .{0,30}is wrong",
        ),
        "storage_error",
        "after-fix",
        where="storage",
    ),
    Sign(
        _words(
            r"nosuchbucket|specified bucket does not exist|specified key does not exist|nosuchkey",
            r"at least one of the pre-conditions you specified",
        ),
        "storage_error",
        "after-fix",
    ),
    Sign(
        _words(
            r"slow ?down|reduce your request rate|service ?unavailable|internal ?(?:server ?)?error",
            r"please try again|temporarily|overloaded|throttl|too many requests|server not initialized",
            r"\bbusy\b|exceeded maximum number|send failed|within the specified|"
            r"insufficient\w*quorum|resources? (?:are|is) insufficient|try again|quorum|backend ?down|"
            r"checksum|does not match what was computed|storage error|service error|"
            r"backend ?error|hash does not match|content-md5|were not uploaded|no such upload",
            r"specified multipart upload|could not connect|failed to connect|closed before we received",
            r"total bytes expected|resource requested is unread|reading from response stream|bad gateway",
            r"(?:drive|disk)s? (?:is |are )?offline|no drives?|not enough (?:live|volume)",
            *TRANSPORT,
        ),
        "storage_error",
        "yes",
        where="storage",
    ),
    Sign(
        _words(
            r"reduce your request rate|(?:read|write|multipart) quorum",
            r"insufficient number of (?:drives|disks|online)|specified multipart upload does not exist",
            r"server not initialized|content-md5 you specified",
        ),
        "storage_error",
        "yes",
    ),
    # --- the worker itself --------------------------------------------------------------------
    Sign(
        _words(
            r"\bOOM ?killed\b|oom[-_ ]kill|invoked oom|out of memory|memory cgroup|out ?of ?memory|"
            r"due to memory|\bMemoryError\b",
            r"cannot allocate memory|errno[ :=]*12\b",
            r"worker(?:losterror| exited| was terminated|.{0,40}sent sig(?:kill|term|segv|abrt))",
            r"worker timeout",
            r"exit(?:ed)?(?: with)?(?: non-zero)?(?: exit)?[ _-]?(?:code|status)?[\" :=(]{0,4}(?:-9|-11|-6|"
            r"13[479]|143|247)\b",
            r"signal[ :=]{1,3}(?:9|6|11|15|kill(?:ed)?)\b|\bSIG(?:KILL|SEGV|ABRT|BUS|ILL)\b",
            r"died with <signals",
            r"killed by signal|terminated by signal|received signal|segmentation fault|core dumped|segfault",
            r"fatal python error|brokenprocesspool|terminated abruptly|process pool was|^\s*killed\s*$",
            r"line \d+:\s+\d+ (?:killed|aborted|terminated)|bus error|stack smashing|double free",
            r"free\(\): invalid|corrupted (?:size|double)|crashloopbackoff|restarting failed container",
            r"pod .{0,80}(?:evicted|was preempted)|\bpods? .{0,60}evicted|reason: {0,20}evicted|node (?:is|"
            r"was) (?:lost|low on)",
            r"low on resource|code=(?:killed|dumped), status=|attempting to kill|killing process|"
            r"jobtimeout|task exceeded|memory (?:quota|limit) .{0,12}exceeded|thread creation failed|"
            r"low memory|watchdog|failed with result .(?:signal|core|oom|watchdog)|oom_score|(?:liveness|"
            r"startup) probe|TimeLimitExceeded|panic: (?:runtime|assertion)|"
            r"goroutine \d+ \[running|\bSIGTERM\b|lease expired|(?:missed|no|lost) heartbeat|"
            r"heartbeat (?:lost|failed|timed|timeout|expired|missed)|unable to allocate",
            r"can't start new thread|malloc failed|(?:exit|return)(?:ed)?[ _-]?(?:code|"
            r"status)?.{0,40}\b(?:137|139)\b|bad_alloc|terminated unexpectedly|taskrun.{0,40}killed",
            r"process .{0,60}crashed|worker died",
        ),
        "worker_crashed",
        "yes",
    ),
    # --- media --------------------------------------------------------------------------------
    Sign(
        _words(
            r"moov atom not found|partial file|(?:file|input|packet|stream|data) (?:is |was )?truncated|"
            r"truncated (?:file|packet|stream|input|data)|file ended prematurely",
            r"overread end of atom|end of file in data|could not find corresponding (?:track|trex)",
            r"contradictionary stsc|premature end|misdetection possible",
        ),
        "not_media",
        "after-fix",
        guidance="The file is incomplete or damaged: fetch it again; the same again is a broken source.",
    ),
    Sign(
        _words(
            r"does not contain any stream|matches no streams",
            r"(?:no|not? find(?: an?)?) audio (?:stream|track|codec)|file audio codec|without audio",
            r"no audio (?:was )?(?:found|in|streams?|data)|has no audio|no sound|doesn't have any audio",
            r"does not have (?:an )?audio|at least one audio stream|audio stream not found",
        ),
        "audio_extraction_failed",
        "no",
        guidance=_SILENT,
    ),
    Sign(
        _words(
            r"(?:ffmpeg|ffprobe|avconv|avprobe)(?:(?!exited).){0,60}(?:not found|not installed|"
            r"could not be found|no such file)",
            r"no such file or directory: b?['\"]\S{0,80}ff(?:mpeg|probe)|cannot find ff(?:mpeg|probe)",
            r"distribution was not found|distributionnotfound|requires python \d|"
            r"unsupported version of python|"
            r"no such option|cannot find module|executable .{0,20}ffmpeg|unknown (?:en|de)coder|"
            r"unrecognized option|option .{0,60} not found",
            r"requested output format .{0,60}not|unable to find a suitable output format",
            r"error splitting the argument|unknown input format|at least one output file|protocol not found",
            r"protocol .{0,60}not on whitelist|(?:automatic )?encoder selection failed|"
            r"error selecting an encoder|no such filter",
            r"not recognized as an internal or external|command not found|exec format error",
            r"executable file not found|error while loading shared libraries|cannot open shared object|glibc",
            r"spawn \S+ ENOENT|winerror 2\b|modulenotfounderror|no module named|cannot import name|"
            r"importerror|dyld: |dll load failed",
            r"ffmpeg not found|trying to load library|oci runtime|error response from daemon|unable to start "
            r"container|no such image|failed to pull|manifest unknown|exec user process|exec: \S{1,80}: ",
        ),
        "configuration",
        "after-fix",
        guidance=_TOOL,
    ),
    Sign(
        _words(
            r"could not find codec param",
            r"(?:unknown|unsupported|invalid|unrecognized) (?:file|image|media|video) format|ebml header",
            r"invalid as first byte",
            r"not a (?:valid )?(?:video|media|audio|mp4|webm|riff)\b|does not look like a (?:video|media)",
            r"unexpected content.?type|is not media|looks like (?:html|an? (?:image|web))|no decodable",
            r"invalid (?:video|media) file|not an? (?:mp4|webm|media|mpeg)|text/html.{0,30}instead",
            r"unrecognized media|header missing|(?:file|video|media) (?:is |may be |seems )?(?:corrupt|"
            r"damaged)|read the first frame|not a supported (?:file|format|video)|format not recogni|"
            r"failed to (?:probe|read frame size|recognize file format)",
            r"not a video file|cannot determine format|unsupported media type",
            r"no video (?:stream|track)s?\b|file is not a (?:video|media)|contains no video|(?:can ?not|"
            r"could not|unable to|failed to) (?:parse|decode|demux|read) (?:the )?(?:media|video|"
            r"input) (?:file|stream)|is not a video\b",
            r"no streams? found|could not open codec|does not contain (?:any )?video",
        ),
        "not_media",
        "no",
    ),
    Sign(
        _words(
            r"\[(?:in#\d+/)?(?:\w+,[\w,]+|avi|mpegts|mpeg|mpegvideo|asf|live_flv|rm|mxf|"
            r"concat) @ .{0,400}(?:error|"
            r"fail|invalid|corrupt|truncat|missing|broken|unexpected|out of|exceed|bad |wrong|unable|"
            r"mismatch|"
            r"can.?not|could|unknown)",
        ),
        "not_media",
        "after-fix",
        where="media",
        guidance="The file is incomplete or damaged: fetch it again; the same again is a broken source.",
    ),
    Sign(
        _words(
            r"error (?:while )?(?:decoding|encoding|(?:re)?initializing|sending|submitting|muxing)",
            r"(?:error|failed|could not|cannot|unable to) .{0,40}(?:decoder|encoder|output stream|"
            r"output file|trailer|filter)",
            r"extract\w* (?:the )?audio|audio (?:conversion|extraction) failed",
            r"error (?:opening output|writing|closing|applying)|could not write header|"
            r"av_interleaved_write_frame",
            r"error parsing|channel (?:element|layout)|sample rate|bitstream|too many packets",
            r"function not implemented|invalid (?:nal|audio|pcm|frame|return value)|error reading",
            r"cannot map stream|ignore_unknown|impossible to convert|(?:en|de)coder .{0,40}not found|"
            r"codec not (?:currently )?supported",
            r"aac.{0,40}(?:error|malformed|invalid)|decode_slice_header|concealing|no frame",
            r"error number -\d+|nothing was written into output|failed to (?:open|inject)|sample format",
            r"non[- ]monoton|timestamps are unset|pts .{0,20}invalid",
            r"finishing stream .{0,20}without any data|error in avcodec|decoding failed",
            r"resource temporarily unavailable|input/output error|immediate exit requested",
        ),
        "audio_extraction_failed",
        "after-fix",
        where="media",
    ),
    Sign(
        _words(
            r"error while decoding stream|error (?:sub|trans)mitting (?:a )?packet|audio conversion failed",
            r"error (?:re)?initializing (?:filters|output stream)|too many packets buffered for output",
            r"nothing was written into output|error opening output file",
            r"could not write header|could not find tag for codec|not currently supported in container",
            r"error writing trailer|decoder \(codec \w{1,20}\) not found|specified sample (?:rate|format)",
            r"error parsing adts|stream specifier|(?:fail\w*|error|could not|unable|"
            r"cannot).{0,20}extract\w* (?:the )?audio",
        ),
        "audio_extraction_failed",
        "after-fix",
    ),
    # --- who is talking inside ffmpeg, where its words are not known -------------------------------
    Sign(
        _words(r"\[(?:https?|tcp|tls|udp|rtmps?|rtsp|rtp|srt|hls|dash|hls,applehttp|httpproxy|crypto) @"),
        "download_timeout",
        "yes",
        where="media",
        weight=1,
    ),
    Sign(
        _words(
            r"\[(?:in#\d+/)?(?:\w+,[\w,]+|avi|mpegts|mpeg|mpegvideo|asf|flv|live_flv|ogg|wav|w64|aiff|rm|mxf|"
            r"caf|dv|ivf|nut|aa|ape|tta|wv|amr|gif|image2|tty|iff|swf|vob|dash|concat) @ .{0,400}(?:error|"
            r"fail|"
            r"packet|header|mismatch|"
            r"invalid|corrupt|truncat|missing|broken|unexpected|out of|exceed|bad |wrong|unable|can.?not|"
            r"could)",
        ),
        "not_media",
        "after-fix",
        where="media",
        weight=1,
        guidance="The file is incomplete or damaged: fetch it again; the same again is a broken source.",
    ),
    Sign(
        _words(r"\[[\w#:/-]{2,40} @ (?:0x)?[0-9a-f]{6,16}\]"),
        "audio_extraction_failed",
        "after-fix",
        where="media",
        weight=1,
    ),
)
