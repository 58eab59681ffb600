"""The words of sources, and the vague words that only count when nothing better was said.

The second half of the table in :mod:`ingestctl.domain.cause_words`; its order matters:
a private video also says "sign in", so what is gone for good is asked before logins.
"""

from __future__ import annotations

from ingestctl.domain.cause_signs import TRANSPORT, TROUBLE, Sign
from ingestctl.domain.cause_signs import words as _words

_UPDATE = "The extractor no longer understands the site: update yt-dlp, then retry."
_LOGIN = "The source wants a login: give the worker cookies of an account that may watch it, then retry."
_GEO = "The source is closed to the worker's region: fetch through a proxy in an allowed region, then retry."
_BOT = "The source takes the worker for a robot: use cookies, another egress address or a newer yt-dlp."
_SOON = "The stream or premiere is not there yet: retry after it has been published."

SOURCE_SIGNS: tuple[Sign, ...] = (
    # --- the source: gone for good ------------------------------------------------------------
    Sign(
        _words(
            r"(?:premieres?|starts?|begins?|available|published|released?) (?:in|on|at|after) (?:\d|a few|"
            r"about|approximately)",
            r"(?:event|stream|broadcast|live|premiere|video|show)\w* will (?:begin|start|be available|air)",
            r"not (?:yet |been )?(?:yet )?(?:started|begun|aired|premiered|released|published)|premieres in",
            r"is (?:streaming|still) live|upcoming|(?:not|isn.t) (?:currently |yet )?(?:live|streaming|"
            r"broadcasting|online|on ?air)\b",
            r"(?:is|was|currently|are) offline|not available yet|not (?:yet )?available.{0,12}yet",
            r"will be available|no active streams?|not downloadable yet",
            r"(?:still|being|currently|video is) (?:being )?(?:processed|processing|encoded|transcoded|"
            r"converted)",
            r"live stream is offline|scheduled|waiting for (?:the )?(?:live|scheduled)|in waiting room",
            r"hasn.t (?:started|aired)|archive will be available|not yet available|"
            r"still (?:be )?(?:uploading|processing)",
        ),
        "invalid_source",
        "yes",
        where="source",
        guidance=_SOON,
    ),
    Sign(
        _words(
            r"this (?:live event|stream|video|episode|livestream) (?:will|has not|isn.t|is not) (?:begin|"
            r"start|yet|currently|available yet)",
            r"live event will begin|premieres in|is not currently live",
            r"(?:stream|channel|model|streamer|room) is (?:currently )?offline",
        ),
        "invalid_source",
        "yes",
        guidance=_SOON,
    ),
    Sign(
        _words(r"rate[- ]?limit(?:ed)? (?:reached )?or log ?in|locked behind (?:the |a )?log ?in"),
        "download_blocked",
        "after-fix",
        guidance=_LOGIN,
    ),
    Sign(
        _words(
            r"try again later.{0,40}rate|rate[- ]?limit|ratelimit|too many requests|429 too many",
            r"quotaexceeded|exceeded your.{0,20}quota|isn.t available, try again later",
            r"not available, try again later|unusual traffic",
            r"too (?:many|frequent) (?:request|access|attempt)",
            r"(?:play|api|request|download|daily|usage) limit|throttl|(?:rate|request|quota|"
            r"bandwidth) limit (?:exceeded|reached)|limit (?:was |has been )?reached",
            r"requests? too (?:fast|frequent|often)|slow ?down|temporarily blocked due to|bandwidth limit",
            r"exceeded the (?:rate|limit)|please wait (?:a (?:few|while)|and try)",
        ),
        "rate_limited",
        "yes",
        guidance="The source asks for fewer requests: wait for its cool-down, lower the rate, then retry.",
    ),
    Sign(_words(r"fragment \S{1,8} not found"), "download_timeout", "yes"),
    Sign(_words(r"no playable streams? found"), "invalid_source", "no", where="source", weight=1),
    Sign(
        _words(r"\bDRM\b|widevine|fairplay|playready|digital rights|encrypted media"),
        "invalid_source",
        "no",
        guidance="The media is DRM-protected and will not be fetched: ask for another source.",
    ),
    Sign(
        _words(
            r"(?:in|from|for|to) (?:your|this|certain|some|the) (?:\w+ ){0,2}(?:countr|region|location|"
            r"territor|area)",
            r"geo[- ]?(?:graphic|restrict|block|lock|bypass|fenc|locat)|outside (?:of )?(?:the |your |"
            r"its )?\w+",
            r"\bvpn\b|blocked it in",
            r"(?:available|accessible|viewable|licen[sc]ed) only (?:in|within|to|from)",
            r"only (?:available|accessible|viewable) (?:in|from|within)",
            r"\bin \w+ only\b|your (?:country|region|location|territory)|(?:country|"
            r"region)[- ]?(?:restrict|block)",
            r"not available (?:in|from) (?!this language)\w+|decision of the|utenfor norge|utanför sverige|"
            r"(?:deinem|ihrem) land|votre (?:pays|territoire)|(?:tu|su|seu) pa[ií]s|restricted (?:in|"
            r"to) (?:\w+ )?(?:region|countr|territor)",
        ),
        "download_blocked",
        "after-fix",
        where="source",
        guidance=_GEO,
    ),
    Sign(
        _words(
            r"(?:available|blocked|watch\w*|view\w*|play\w*|access\w*|allowed) (?:\w+ )?(?:in|"
            r"from) your (?:country|region|location)",
            r"geo[- ]?(?:restrict|block|lock)|restricted (?:in|to) (?:\w+ )?(?:region|countr|territor)",
        ),
        "download_blocked",
        "after-fix",
        guidance=_GEO,
    ),
    Sign(
        _words(
            r"not a bot|captcha|cloudflare|robot|automated|bot (?:check|detect|protection)|challenge",
            r"suspicious|impersonat|human verification",
            r"ip (?:address )?(?:is |was |has been )?(?:\w+ )?(?:blocked|banned|blacklisted)|your ip",
            r"(?:request|access|ip) (?:is |was |has been )?(?:blocked|rejected)|playback on other|"
            r"to (?:everyone|all users|some users)|only images are available",
            r"access (?:to this .{0,30})?denied|po[ _]?token|anti-?bot|fingerprint",
        ),
        "download_blocked",
        "after-fix",
        where="source",
        guidance=_BOT,
    ),
    Sign(
        _words(
            r"not a (?:ro)?bot\b|captcha|cloudflare|human verification",
            r"\b(?:your|this) ip (?:address )?(?:\w+ ){1,4}(?:blocked|banned|blacklisted)",
        ),
        "download_blocked",
        "after-fix",
        guidance=_BOT,
    ),
    Sign(
        _words(
            r"requested format (?:is )?not available|(?:network|workspace) administrator",
            r"(?:video|content) is restricted|no \w+ found!?; please report",
            r"on this (?:app|device|browser|client|version)|latest version of (?!youtube-dl|yt-dlp)",
            r"\btoken\w* (?:has|have|is) (?:been )?(?:expired|invalid)|no (?:video )?formats? (?:found|"
            r"available)|"
            r"embed-only|without embedding url",
        ),
        "download_blocked",
        "after-fix",
        guidance=_UPDATE,
    ),
    Sign(
        _words(
            r"no such \w+|(?:is|are|was|currently|been) (?:currently |been )?(?:unavailable|not available)",
            r"does not contain (?:any )?audio|(?:is|are) private\b|no (?:\w+ ){1,4}(?:found|exists?|"
            r"could be found)",
            r"private (?:video|post|account|content|playlist|group|profile|show)",
            r"(?:video|post|account|profile|it|track|content|playlist|tweet) (?:is|are) (?:set to )?private",
            r"(?:removed|deleted|taken down|disabled|withdrawn|blocked) (?:by|for|due|because|from|at)",
            r"has been (?:\w+ )?(?:removed|deleted|disabled|suspended|terminated|taken)",
            r"(?:was|were|been|is|video|account|post) (?:deleted|removed|terminated|suspended|banned|"
            r"taken down)",
            r"terminated|suspended|copyright|terms of (?:service|use)|no longer (?:available|exist|"
            r"accessible)",
            r"(?:does|do|did) ?n[o']t exist|doesn.t exist|(?<!fragment )not (?:be )?found\b",
            r"unsupported .{0,30}\burl|could ?n[o']t be found|cannot find|can.t find|unsupported url",
            r"is not a valid url|invalid url|no host (?:given|supplied)|unsupported (?:url )?scheme",
            r"no suitable extractor|unsupported protocol|incomplete youtube id|truncated (?:id|url)",
            r"url (?:looks|appears) truncated|unknown url type|not supported url|malformed url",
            r"(?:video|content|media|page|post|episode|clip|stream|track|resource|item|recording|"
            r"tweet) (?:\w+ )?(?:is |are )?(?:not available|unavailable|isn.t available|expired|missing|"
            r"gone)",
            r"has (?:been )?(?:ended|expired)",
            r"no (?:video|media|clip|episode|embed|downloads?|such video)s? (?:\w+ ){0,3}(?:in|on|at|found|"
            r"available|posted)",
            r"there(?:.s| is) no (?:video|media)|doesn.t (?:have|contain) (?:a |any )?(?:video|media)",
            r"does not (?:have|contain) (?:a |any )?(?:video|media)|this video is unavailable",
            r"couldn't find (?:that|this|the) \w+|不存在|删除|失效|不可见|下架|找不到",
            r"file:// (?:scheme|urls)|url scheme|not made this video available|nonexist",
            r"not archived|rights (?:have )?expired|with id \S+ exists|no video/audio found|"
            r"replay is disabled|"
            r"not (?:been )?made available|neither archive|website is no|without video id|"
            r"invalid \w+ redirect|"
            r"url is missing|is not a file|link (?:is|has) (?:expired|dead)|empty playlist|"
            r"does not pass filter|invalid video id",
        ),
        "invalid_source",
        "no",
        where="source",
    ),
    Sign(
        _words(
            r"this video (?:is|has been) (?:private|unavailable|removed|deleted)|private video",
            r"video unavailable|unsupported url|doesn.t make any sense|doesn.t make any sense|"
            r"no longer available",
            r"account (?:associated|has been).{0,60}terminated|is not a valid url",
            r"video (?:has been|was) (?:removed|deleted)|copyright (?:claim|grounds|infring)",
            r"violat\w+ .{0,40}terms of service|video (?:does not|doesn.t) exist|video not found|invalid url",
            r"no (?:host|scheme) supplied|unknown url type|invalidschema|no connection adapters",
            r"(?:video|programm?e?|episode|content|clip|stream|media|rights) (?:is |are |has |have |"
            r"was )?(?:not available|"
            r"unavailable|expired|been (?:removed|deleted))",
            r"no plugin can handle|no video in this|not made this video available|video is unavailable",
        ),
        "invalid_source",
        "no",
    ),
    Sign(
        _words(
            r"confirm your age|age[- ]?(?:restrict|limit|verif|gate|check|confirm)|inappropriate for some",
            r"会员|登录|地区|付费|权限",
            r"nsfw|sensitive|mature|adult|sign in|sign-in|log[- ]?in|logged[- ]in|login|authenticat",
            r"cookies?\b|credential|password|account|unauthori[sz]ed|registered users|service provider|"
            r"supporter|have to pay|not free|inaccessible|referer|restricted|rejected|members?[- ]only",
            r"join this channel|members on|(?:video|content|post|episode|account|it) is locked|premium|"
            r"subscri|paid|payment|purchase|rent(?:al|ed)?\b|paywall",
            r"pay to|ticket|(?:only|be) (?:available|visible|accessible) (?:to|for)|friends|followers",
            r"have (?:access|permission)|not authori[sz]ed|forbidden",
        ),
        "download_blocked",
        "after-fix",
        where="source",
        guidance=_LOGIN,
    ),
    Sign(
        _words(
            r"login page|checkpoint required|use --login|login (?:error|required|failed)|"
            r"sign in to (?:confirm|view|watch)|\bnsfw|confirm your age|age[- ]restricted|login required",
            r"members[- ]only|join this channel|use --cookies|only available (?:to|for) registered",
            r"requires? (?:a )?(?:login|subscription|payment|premium)|log in to",
        ),
        "download_blocked",
        "after-fix",
        guidance=_LOGIN,
    ),
    # --- the worker's surroundings -------------------------------------------------------------
    Sign(
        _words(
            r"proxy (?:error|server|connection)|(?:unable|failed|cannot) (?:to )?connect to (?:the )?proxy",
            r"proxyerror|tunnel connection failed|socks\d? ?(?:proxy|error)|407 proxy",
        ),
        "configuration",
        "after-fix",
        guidance="The proxy refuses or cannot be reached: check the proxy settings, then retry.",
    ),
    Sign(
        _words(
            r"permission denied|\bEACCES\b|\bEROFS\b|read-only file system|too many open files|\bEMFILE\b",
            r"operation not permitted|permissionerror",
            r"unable to (?:open for writing|create directory|rename file)|file name too long",
            r"validation errors? for \w*settings|settingserror|dynaconf|no such option|extra inputs are not",
            r"config(?:uration)? (?:profile|file|error)|must specify a region|invalid endpoint",
            r"(?:environment variable|setting)s? .{0,60}(?:not set|missing|required|unknown)|netscape format",
            r"no such file or directory: \S{0,80}cookies|invalid .{0,60}environment variable",
            r"cookies? database|cookies? file|improperlyconfigured|invalid (?:value|choice) for",
            r"unrecognized arguments|missing required (?:option|argument|setting)",
            r"no supported javascript runtime|unknown setting|address already in use|"
            r"keyerror: ['\"](?-i:[A-Z][A-Z0-9_]{3,40})['\"]|cannot be used without|ca certificates",
            r"parameter validation failed|mount(?:ing|volume).{0,40}fail|imagepullbackoff|errimagepull",
            r"createcontainerconfigerror|couldn.t find key|secret \"[^\"]{0,80}\" not found|configmap \"",
        ),
        "configuration",
        "after-fix",
    ),
    Sign(
        _words(
            r"eof occurred|unexpected.eof|ssleoferror|bad.record.mac|decryption.failed|no data returned|"
            r"handshake.{0,80}(?:reset|closed|timed? ?out|"
            r"pull function|eof\b)"
        ),
        "download_timeout",
        "yes",
    ),
    Sign(
        _words(
            r"ssl: |certificate verify|certificate_verify|ssl3?_|self[- ]signed|wrong version number|tlsv1",
            r"certificate (?:problem|has expired|is not)|local issuer|x509|toomanyredirects|"
            r"exceeded \d+ redirects",
            r"handshake|redirect loop|too many redirects",
        ),
        "download_blocked",
        "after-fix",
        guidance="The source's TLS or redirects cannot be trusted: check URL, clock and CA certificates.",
    ),
    Sign(
        _words(*TRANSPORT),
        "download_timeout",
        "yes",
    ),
    Sign(
        _words(
            r"service unavailable|bad gateway|gateway time|internal server error|temporarily unavailable",
            r"temporary (?:failure|error)|try again later|fragment .{0,40}(?:unable|fail)",
            r"unable to continue|server error|network error|overloaded|maintenance|downstream",
            r"incomplete data received|while receiving data|cannot download|too slow|"
            r"got (?:server http )?error",
        ),
        "download_timeout",
        "yes",
        where="source",
    ),
    # --- vague words: only when nothing better was said ---------------------------------------------
    Sign(  # the operating system about a file, in whatever words or language
        _words(r"\[errno (?:1|5|9|13|16|2[0-467]|30|36|39|40|116)\]|too many files open"),
        "configuration",
        "after-fix",
        weight=1,
    ),
    Sign(_words(r"invalid data found when processing"), "not_media", "no", weight=1),
    Sign(
        _words(
            r"conversion failed|ffmpeg\w*(?:error|exception)|exited with (?:exit )?code \d.{0,200}ffmpeg|"
            r"@ (?:0x)?[0-9a-f]{6,16}\] .{0,60}(?:invalid argument|generic error)|"
            r"ff(?:mpeg|probe)\S{0,8} (?:exited|failed|returned|error|died|process)",
            r"ff(?:mpeg|probe)\b.{0,600}non-zero exit|error opening input|(?:error|"
            r"fail\w*).{0,30}\bff(?:mpeg|probe)\b",
            r"postprocess(?:ing|or)|non-zero exit-code",
        ),
        "audio_extraction_failed",
        "after-fix",
        weight=1,
    ),
    # --- who is talking, where their words are not known --------------------------------------
    Sign(_words(TROUBLE), "database_error", "after-fix", where="database", weight=1),
    Sign(_words(TROUBLE), "storage_error", "after-fix", where="storage", weight=1),
    Sign(
        _words(
            r"requests\.exceptions\.\w+|urllib3?\.(?:exceptions|error)\.\w+|http\.client\.\w+|"
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
        guidance=_UPDATE,
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
        guidance=_UPDATE,
    ),
)
