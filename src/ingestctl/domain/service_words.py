"""The words of a full disk, of databases and of object storage, as an ordered table.

One line of text is looked at by the rows in order and the first that matches speaks for
the line. To teach a new wording, add it to the row of its family; a row of its own is
needed only where retryability or guidance differ. The words of the worker follow in
:mod:`ingestctl.domain.worker_words`, those of its settings in
:mod:`ingestctl.domain.setting_words`, those of media and its tools in
:mod:`ingestctl.domain.media_words`, those of sources in :mod:`ingestctl.domain.source_words`.
Patterns must not nest repetitions: input may be hostile.
"""

from __future__ import annotations

from ingestctl.domain.cause_signs import PYTHON_BUG, S3_SENTENCES, TRANSPORT, Sign
from ingestctl.domain.cause_signs import words as _words

_CREDENTIALS = "Storage refused who we are: check S3_ACCESS_KEY, S3_SECRET_KEY and the bucket policy."

SERVICE_SIGNS: tuple[Sign, ...] = (
    # --- a full disk, whoever says it ---------------------------------------------------------
    Sign(
        _words(
            r"remaining disk space|no space left|\bENOSPC\b|\bEDQUOT\b|errno[ :=]*(?:28|122)\b|"
            r"os error (?:28|122|112)\b",
            r"winerror (?:112|39)\b|errno 69\b|dis[ck] quota|no space on|space left on|"
            r"ran out of (?:disk )?space|not enough (?:free )?(?:disk )?space|disk quota exceeded",
            r"file ?system (?:is )?full|out of disk space",
            r"(?:disk|drive|device|volume|partition)(?: [\"\'/]\S{1,80})? (?:is )?(?:nearly )?full\b|"
            r"SQLITE_FULL|check free disk",
            r"\bfull osd|osds? (?:is |are )?full|pool\(s\) full|insufficient (?:free )?(?:disk )?(?:space|"
            r"storage)|(?-i:errors\.DiskFull|DiskFullError)|"
            r"(?<!\) )cap exceeded|storage[ _]cap|storage quota|storage ?full|drive path full|"
            r"minimum free (?:disk|"
            r"drive)",
            r"sqlstate[\s:=(]{0,3}53100|wrote only \d+ of \d+ bytes|bucket quota (?!check)|"
            r"quota of the bucket|size quota|quota is reached|"
            r"insufficient ?storage|ephemeral[- ](?:local )?storage",
            r"usage .{0,60}exceeds the|no (?:more )?(?:free|writable) volumes|low (?:on )?disk|"
            r"flood[- ]stage|(?:no free|out of) inodes|"
            r"disk space (?:is )?(?:low|exhausted)|disk ?pressure|exceeded its quota.{0,40}storage",
        ),
        "disk_full",
        "after-fix",
        weight=3,
    ),
    Sign(_words(r"partially initialized module|attempted relative import"), "internal", "after-fix"),
    Sign(
        _words(
            r"fatal python error: (?:preconfig|init|config)|^(?:import|modulenotfound)error: |ca bundle: |"
            r"dependencies installed"
        ),
        "configuration",
        "after-fix",
    ),
    Sign(  # how a driver sums up what the line before told
        _words(r"can't create a connection to host \S{1,80} and port"),
        "database_error",
        "yes",
        weight=1,
    ),
    Sign(  # a start script that waits
        _words(r"wait-for-(?:db|postgres|pg)\b|\(pg_isready\b|:5432 - no (?:response|attempt)"),
        "database_error",
        "yes",
    ),
    # --- a bug of the worker's own code, whoever it was calling ----------------------------------
    Sign(_words(r"\bpost hooks: "), "internal", "after-fix", where="source"),
    Sign(_words(PYTHON_BUG), "internal", "after-fix", where="storage"),
    Sign(_words(PYTHON_BUG), "internal", "after-fix", where="database"),
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
            r"no transaction is active|closed database|sqlite objects created|root certificate file|"
            r"cursor \"[^\"]{1,80}\" does not exist|cannot add an? (?:not null|unique|primary key) column|"
            r"instance matching query does not exist|error binding parameter|cannot adapt type|"
            r""
            r"table \S{1,80} has \d+ (?:values|columns)|authorization denied$|column index out of range|"
            r"(?:unique|foreign key|check|not[- ]null) constraint violated|definition of service|"
            r"invalid sslmode|invalid \"\w{2,40}\" value: \"|foreign key mismatch|^incomplete input$|"
            r"no such (?:collation|index|module|trigger|view|savepoint|vfs)|"
            r"number of arguments to function|misuse of aggregate|row value misused|sub-select returns|"
            r"table \S{1,80} may not be |there is already an(?:other)? (?:table|index)|"
            r"too many attached databases|"
            r"unfinalized statements|variable number must be|# of entries in index|"
            r"unable to open a temporary database|because it is a view|values for \d+ columns|"
            r"malformed json$|"
            r"order by term|generated column|invalid page number|database \S{1,80} is already in use|"
            r"database is already attached|default value of column|cannot drop column|"
            r"cannot start a transaction within|cannot (?:commit|rollback) - no transaction|"
            r"no such function|ambiguous column name|rows were found when|no row was found when|"
            r"not bound to a session|has not been populated|requested length too large|invalid memory alloc|"
            r"could not decode to utf|"
            r"no such database|unsupported startup parameter|duplicate column name|input for query argument|"
            r"values were supplied|"
            r"expected to update \d+ row|more than one row returned by|must appear in the group by|"
            r"cannot store \w+ value in|another operation is in progress|arbiter index|no results to fetch|"
            r"expression tree is too large|execute one statement at a time|value for binding|"
            r"access permission denied|number of binding|"
            r"has been released back to the pool|or its row is otherwise|"
            r"does not return rows|currently open database|bad value for connect|"
            r"codec not available in python|"
            r"hot standby mode|expected authentication request",
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
            r"(?<!ms: )could not connect to server",
            r"database is deadlocked|database \S{1,80} is locked|"
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
            r"another server process exited|because of crash|pool timeout|psycopg_pool\.pooltimeout|"
            r"pool initialization incomplete|connection pool (?:exhausted|is closed)|idle-in-transaction",
            r"connection timeout expired|cannot connect now|lost synchronization|out of shared memory",
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
    Sign(  # of libpq's prefix only the reason behind it counts
        _words(
            r"connection to server .{1,200} failed: (?:fatal|error): (?!.{0,200}(?:temporar|try again|"
            r"too many|unavailable|not available|shutting down|starting up|recovery mode|max_client|"
            r"timeout|in use))"
        ),
        "database_error",
        "after-fix",
    ),
    Sign(
        _words(
            r"pooltimeout|\bpool is clos(?:ed|ing)|\binterrupted\b|query aborted|cursor already closed|"
            r"took too long|bad connection|"
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
    Sign(_words(r"connection to server (?:at|on)\b"), "database_error", "yes"),
    # --- object storage -----------------------------------------------------------------------
    Sign(
        _words(
            r"proxyconnect|proxies_config|invalidconfigerror\W.{0,80}profile|"
            r"file /\S{1,200} was not found|proxy url|proxyconnectionerror|proxyerror|tunneling socket|"
            r"tunnel connection failed|"
            r"connect to (?:the )?proxy"
        ),
        "configuration",
        "after-fix",
        guidance="The proxy refuses or cannot be reached: check the proxy settings, then retry.",
    ),
    Sign(
        _words(
            r"ssl validation failed .{0,300}(?:\beof\b|reset|timed out)|dial tcp .{0,120}(?:refused|timeout|"
            r"no route|reset|unreachable)|"
            r"slow ?down|rate exceeded|reduce (?:your|the) (?:request )?rate|rate[- ]?limit|"
            r"too ?many ?requests|throttl",
            r"error when retrieving credentials.{0,300}(?:could not connect|timeout|response 5\d\d)|"
            r"data written \d+ bytes is smaller|md5 hash(?:es)? differ|corrupted on transfer|"
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
            r"parameter validation failed|the sso session associated|retrieving token from sso|"
            r"invalid endpoint: |"
            r"nocredentialproviders|loadcustomcabundle|must be one of: \('legacy'|invalid extra_args key|"
            r"^error: parameter problem: |request without credentials|must specify a region|noregionerror",
            r"access key id you provided does not exist|signature we calculated does not match",
            r"invalidaccesskeyid|signaturedoesnotmatch|defaultcredentialserror",
        ),
        "storage_error",
        "after-fix",
        guidance=_CREDENTIALS,
    ),
    Sign(
        _words(
            r"paramvalidationerror|defaultcredentialserror|first record does not look like|"
            r"waiter \w+ failed.{0,120}code: 40[1-9]|wrong[ _]version[ _]number|not dns compatible|"
            r"object lock|nosuchbucket|"
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
            r"ssl validation failed for (?!.{0,300}\beof\b)|difference between the request time",
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
            r"expected checksum \S{1,90} did not match|ssl validation failed for|"
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
