"""The words of a full disk, of databases and of object storage, as an ordered table.

One line of text is looked at by the rows in order and the first that matches speaks for
the line. To teach a new wording, add it to the row of its family; a row of its own is
needed only where retryability or guidance differ. The words of the worker follow in
:mod:`ingestctl.domain.worker_words`, those of media and its tools in
:mod:`ingestctl.domain.media_words`, those of sources in :mod:`ingestctl.domain.source_words`.
Patterns must not nest repetitions: input may be hostile.
"""

from __future__ import annotations

from ingestctl.domain.cause_signs import S3_SENTENCES, TRANSPORT, Sign
from ingestctl.domain.cause_signs import words as _words

_CREDENTIALS = "Storage refused who we are: check S3_ACCESS_KEY, S3_SECRET_KEY and the bucket policy."

SERVICE_SIGNS: tuple[Sign, ...] = (
    # --- a full disk, whoever says it ---------------------------------------------------------
    Sign(
        _words(
            r"no space left|\bENOSPC\b|\bEDQUOT\b|errno[ :=]*(?:28|122)\b|os error (?:28|122|112)\b",
            r"winerror (?:112|39)\b|errno 69\b|dis[ck] quota|no space on|space left on|"
            r"ran out of (?:disk )?space|not enough (?:free )?(?:disk )?space|disk quota exceeded",
            r"file ?system (?:is )?full|out of disk space",
            r"(?:disk|drive|device|volume|partition)(?: [\"\'/]\S{1,80})? (?:is )?(?:nearly )?full\b|"
            r"SQLITE_FULL|check free disk",
            r"\bfull osd|osds? (?:is |are )?full|pool\(s\) full|insufficient (?:free )?(?:disk )?(?:space|"
            r"storage)|(?-i:errors\.DiskFull|DiskFullError)|"
            r"cap exceeded|storage[ _]cap|storage quota|storage ?full|drive path full|minimum free (?:disk|"
            r"drive)",
            r"sqlstate[\s:=(]{0,3}53100|wrote only \d+ of \d+ bytes|bucket quota (?!check)|"
            r"quota of the bucket|cap exceeded|"
            r"insufficient ?storage|ephemeral[- ](?:local )?storage",
            r"usage .{0,60}exceeds the|no (?:more )?(?:free|writable) volumes|low (?:on )?disk|"
            r"flood[- ]stage|(?:no free|out of) inodes|"
            r"disk space (?:is )?(?:low|exhausted)|disk ?pressure|exceeded its quota.{0,40}storage",
        ),
        "disk_full",
        "after-fix",
        weight=3,
    ),
    Sign(_words(r"^(?:import|modulenotfound)error: "), "configuration", "after-fix"),
    # --- PostgreSQL and SQLite ---------------------------------------------------------------
    Sign(
        _words(
            r"(?:(?<!username/)password|peer|ident|sasl|scram|md5|gssapi|"
            r"ldap)[\w ]{0,12} authentication failed",
            r"no pg_hba\.conf entry|pg_hba\.conf rejects|session is (?:not )?read-only|"
            r"is not accepting connections|"
            r"authentication failed for user",
            r"role \"[^\"]{0,80}\" (?:does not exist|is not permitted)|no password supplied",
            r"database \"[^\"]{0,80}\" does not exist|permission denied for (?:table|schema|relation)",
            r"permission denied for (?:database|sequence|function|column|view|language)",
            r"must be (?:owner|superuser)|row-level security policy|invalid dsn|missing \"=\" after",
            r"invalid connection option|requires ssl|ssl off|does not support ssl|insufficientprivilege",
            r"rejected ssl|unrecognized configuration parameter|tenant(?:/| or )user|"
            r"could not translate host name|failed to resolve host .{1,200} not known|"
            r"could not parse.{0,40}url from|can.t load plugin|invalidpassword",
        ),
        "database_error",
        "after-fix",
        guidance="The database refused us: check DATABASE_URL (host, user, password, name) and grants.",
    ),
    Sign(
        _words(
            r"(?:relation|column|table|schema|type|function|operator|"
            r"constraint) \"?[\w.\"]{1,120}.{0,60} does not exist",
            r"^\W*(?:error: )?(?:table|column|relation|schema) (?:\S{1,80} )?does not exist|no such (?:table|"
            r"column)|undefined(?:table|column)|has no column named|can't locate revision",
            r"^\W*(?:table|index|view|trigger|column|relation|schema|sequence) \S{1,80} already exists|"
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
            r"(?:unique|foreign key|check|not null) constraint fail|constraint violation|"
            r"syntax error (?:at or near|in (?:your )?sql)",
            r"invalid input syntax|value too long for type|(?:integer|numeric|bigint|smallint|value|"
            r"timestamp) out of range|current transaction is aborted",
            r"in failed sql transaction|database disk image is malformed|not a database\b|readonly database",
            r"read-only (?:transaction|database)|unable to open database|could not open relation",
            r"invalid page in block|could not read block|(?-i:PANIC: {2}|PANIC: could)|disk i/o error",
            r"SQLITE_(?:CORRUPT|READONLY|NOTADB|IOERR|CANTOPEN|CONSTRAINT)|datatype mismatch",
            r"invalid byte sequence for encoding|could not access status of transaction",
            r"could not determine data type|unsupported (?:startup|frontend)|can't adapt type",
            r"missing chunk number|cached plan must not change|cannot execute \w+ in a read-only",
            r"invalid input value for enum|operator does not exist|\bon conflict (?:specification|do update)|"
            r"column reference \"|unicode escape sequence|prepared statement \"|placeholders but|"
            r"unexpected (?:chunk number|zero page)|contains unexpected|malformed database|"
            r"near \"[^\"]{0,80}\": syntax|"
            r"unrecognized token: \"|too many sql variables|values for \d+ columns|within a transaction|"
            r"numeric field overflow|conflict clause does not|number of bindings|enum label|"
            r"no transaction is active|closed database|sqlite objects created|root certificate file",
            r"could not (?:extend|read|fsync|truncate) file|could not write (?:block|to file)|"
            r"not accepting commands|could not open file \"|"
            r"sql logic error|noresultfound|multipleresultsfound|detachedinstance|arguments for this query|"
            r"takes only one argument|too many columns|temp_file_limit",
            r"invalid value for (?:parameter \"|\w+ \w+ option|clientname)|time out of range|"
            r"within group is required|invalid format specification for an? \w+ value",
            r"SQLITE_(?:ERROR|MISUSE|MISMATCH|TOOBIG|AUTH|RANGE|PERM|FORMAT)\b|string or blob too big|"
            r"other api misuse",
        ),
        "database_error",
        "after-fix",
    ),
    Sign(
        _words(
            r"certificate|response to ssl negotiation|name or service not known|nodename nor servname|"
            r"(?:permission|"
            r"authorization) denied",
            r"authentication method|authentication not supported|channel binding|private key|"
            r"SASL auth\w+ mech|"
            r"(?:GSSAPI|SSL)\b.{0,30}(?:required|impossible)|(?:password|service) file|ssl protocol version|"
            r"invalid (?:port|uri|percent|integer value)|connection info string|"
            r"socket path .{1,200} too long",
        ),
        "database_error",
        "after-fix",
        where="database",
        guidance="The database's host is unknown or not trusted: check DATABASE_URL, sslmode, certificates.",
    ),
    Sign(
        _words(
            r"server closed the connection|server terminated abnormally|"
            r"(?<!ms: )could not connect to server|connection to server (?:at|"
            r"on)",
            r"(?:database|table) (?:table |schema )?is locked|SQLITE_(?:BUSY|LOCKED)|deadlock detected",
            r"max client(?:s| connections) reached|could not serialize|serialization failure|"
            r"too many (?:clients|connections (?:for|to))|"
            r"lock (?:wait )?timeout exceeded|"
            r"remaining connection slots",
            r"sorry, too many|queuepool limit|database (?:system )?is (?:starting|shutting|in recovery|"
            r"not yet)",
            r"terminating (?:\w+ ){0,2}(?:connection|due to administrator)|canceling statement|"
            r"cancell?ing (?:authentication|autovacuum)",
            r"lock timeout|could not obtain lock|query_wait_timeout|admin shutdown|ssl syscall",
            r"(?<!tls/)ssl connection has been closed|connection (?:already|is) closed",
            r"couldn't get a connection after|conflict with recovery",
            r"terminated by signal.{0,80}server process|server process.{0,80}terminated by signal",
            r"another server process exited|because of crash|pool(?:timeout| timeout)|idle-in-transaction",
            r"cannot connect now|lost synchronization|out of shared memory",
            r"could not receive data from (?:server|client)|locking protocol|could not send (?:data|ssl)",
            r"the connection is (?:lost|closed)|postmaster has commanded|able to reconnect to the database|"
            r"schema has changed|no more connections allowed",
            r"communication error|consuming input failed|sending query failed|no connection to the server|"
            r"write to server failed|"
            r"connection slots|pgbouncer cannot connect",
            r"tuple concurrently|being accessed by other users|the pool '[^']{0,80}' (?:is|has) already|"
            r"idle[- ](?:session|in[- ]transaction)",
            r"SQLITE_(?:INTERRUPT|PROTOCOL|SCHEMA|ABORT|NOMEM)\b",
            r"received \w+ shutdown request|server conn crashed|postmaster exit|eof on client connection|"
            r"server login has been",
        ),
        "database_error",
        "yes",
    ),
    Sign(
        _words(
            r"\binterrupted\b|query aborted|cursor already closed|took too long|bad connection|"
            r"lock not available|max clients|"
            r"rolled back due|can.t reconnect|invalid transaction|transaction is rolled back|recovery mode|"
            r"shutting down|connection.{0,30}(?:exhausted|in use|lost|dead|gone away)|query timeout",
            r"out of memory|memory exhausted|ssl error|decryption failed|try again|temporarily|"
            r"temporary (?:fail|"
            r"err|prob)|not enough shared memory|"
            r"too many (?:\w+ ){0,2}(?:clients|connections|sessions|requests|attempts|processes|open|users|"
            r"locks|failed)|"
            r"terminated by signal|interrupted system call|could not fork|(?<!\" is )not available|"
            r"unavailable|"
            r"socket closed|connection is bad|requests waiting|flushing failed|(?:send|"
            r"receiv)ing (?:\w+ ){1,3}failed|"
            r"concurrent (?:update|delete)|being used by|in use by pid|is active for pid|"
            r"pending trigger events|due to administrator command",
            r"dial (?:tcp|unix).{0,80}(?:no such file|connect)|is the server running|failover|"
            r"not the primary|network error",
            *TRANSPORT,
        ),
        "database_error",
        "yes",
        where="database",
    ),
    # --- object storage -----------------------------------------------------------------------
    Sign(
        _words(
            r"proxies_config|invalidconfigerror\W.{0,80}profile|file /\S{1,200} was not found|"
            r"proxy url|proxyconnectionerror|proxyerror|tunneling socket|tunnel connection failed|"
            r"connect to (?:the )?proxy"
        ),
        "configuration",
        "after-fix",
        guidance="The proxy refuses or cannot be reached: check the proxy settings, then retry.",
    ),
    Sign(
        _words(
            r"dial tcp .{0,120}(?:refused|timeout|no route|reset|unreachable)|"
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
            r"failed to refresh|invalid access key|credentials(?!\" not found)|authorization token|"
            r"auth_token",
        ),
        "storage_error",
        "after-fix",
        where="storage",
        guidance=_CREDENTIALS,
    ),
    Sign(
        _words(
            r"unable to locate credentials|partial credentials found|missingcredentials|"
            r"request without credentials",
            r"access key id you provided does not exist|signature we calculated does not match",
            r"invalidaccesskeyid|signaturedoesnotmatch",
        ),
        "storage_error",
        "after-fix",
        guidance=_CREDENTIALS,
    ),
    Sign(
        _words(
            r"paramvalidationerror|wrong[ _]version[ _]number|not dns compatible|object lock|nosuchbucket|"
            r"bucket does not exist|"
            r"nosuchkey|"
            r"specified key does not exist|invalid bucket name",
            r"bucket \S{1,80} (?:does not exist|not found)|permanentredirect|must be addressed using",
            r"preconditionfailed|pre-conditions you specified|entitytoolarge|methodnotallowed|invalidpart\b",
            r"object (?:is )?(?:locked|immutable)|\bworm\b|ssl validation failed|certificate",
            r"unsupported configuration|invalid_grant|exceeded (?:total|the (?:max|allowed))|too large|"
            r"maximum allowed|does not have .{0,60}access|badrequest|authorizationheadermalformed",
            r"content-md5 (?:that )?you specified is not valid|region .{0,30}is wrong|moved permanently|"
            r"is in this region|write[- ]once|invalid ?endpoint",
        ),
        "storage_error",
        "after-fix",
        where="storage",
    ),
    Sign(
        _words(
            r"nosuchbucket|specified bucket does not exist|specified key does not exist|nosuchkey",
            r"at least one of the pre-conditions you specified|error when retrieving credentials|"
            r"object is worm",
            r"ssl validation failed for|difference between the request time",
        ),
        "storage_error",
        "after-fix",
    ),
    Sign(
        _words(
            r"slow ?down|reduce your request rate|service ?unavailable|internal ?(?:server ?)?error",
            r"please try again|temporarily|overloaded|throttl|too many requests|server not initialized",
            r"\bbusy\b|exceeded maximum number|send failed|within the specified|"
            r"insufficient\w*quorum|md5 sums? .{0,40}match|match computed md5|etag mismatch|"
            r"request capacity|resources? (?:are|is) insufficient|"
            r"try again|quorum|"
            r"backend ?down|"
            r"checksum .{0,90}(?:fail|mismatch|did not|does not|differ|invalid)|"
            r"does not match what was computed|storage error|service error|"
            r"backend ?error|hash does not match|content-md5|were not uploaded|no such upload",
            r"specified multipart upload|inaccessible host|could not connect|failed to connect|"
            r"closed before we received|further retries may|content incomplete|retries exceeded|"
            r"too many 5\d\d",
            r"\bEOF\b|pool is closed|active requests|conflicting|socket connection|unread|unwrit|"
            r"total bytes expected|"
            r"number of bytes specified|resource requested is unread|reading from response stream|"
            r"bad gateway",
            r"\d online, [1-9]\d* offline|(?:drive|disk)s? (?:is |are )?offline|no drives?|"
            r"not enough (?:live|volume)",
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
            r"server not initialized|content-md5 (?:that )?you specified did|reading from response stream|"
            r"total bytes expected is",
        ),
        "storage_error",
        "yes",
    ),
    Sign(_words(*S3_SENTENCES, r"(?-i:\bAccessDenied\b)"), "storage_error", "after-fix", where="storage"),
)
