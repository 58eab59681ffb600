"""The words of sources: gone for good, logins, regions, robots, rate limits.

A part of the table that begins in :mod:`ingestctl.domain.service_words`. Its order matters:
a private video also says "sign in", so what is gone for good is asked before logins.
"""

from __future__ import annotations

from ingestctl.domain.cause_signs import Sign
from ingestctl.domain.cause_signs import words as _words

UPDATE = "The extractor no longer understands the site: update yt-dlp, then retry."
_LOGIN = "The source wants a login: give the worker cookies of an account that may watch it, then retry."
_GEO = "The source is closed to the worker's region: fetch through a proxy in an allowed region, then retry."
_BOT = "The source takes the worker for a robot: use cookies, another egress address or a newer yt-dlp."
_SOON = "The stream or premiere is not there yet: retry after it has been published."

SOURCE_SIGNS: tuple[Sign, ...] = (
    Sign(_words(r"can't connect to the server for this app"), "download_timeout", "yes", weight=0),
    Sign(  # what stands before a site, of the site
        _words(r"(?<![\d,.:])52[0-7]: |origin dns error|cloudflare error 10(?:00|16)|\b530 server error"),
        "download_timeout",
        "yes",
    ),
    Sign(
        _words(
            r"<title>(?:404|(?:page |video )?not found)|invalidurl\w*error|not supported url scheme|"
            r"isn't a valid uri\b|reason='\w+ not found'"
        ),
        "invalid_source",
        "no",
    ),
    Sign(
        _words(
            r"wants a login|certificate of \S{1,80} has expired|incapsula incident|checking your browser|"
            r"ddos-guard|received 1008|policy violation|mod_?security|\bhttp 999\b|"
            r"request denied|redirect response '3\d"
        ),
        "download_blocked",
        "after-fix",
        guidance=_BOT,
    ),
    # --- the source: gone for good ------------------------------------------------------------
    Sign(
        _words(
            r"(?:premieres?|starts?|begins?|available|published|released?) (?:in|on|at|after) (?:\d|a few|"
            r"about|approximately)",
            r"(?:event|stream|broadcast|live|premiere|video|show)\w* will (?:begin|start|be available|air)",
            r"not (?:yet |been )?(?:yet )?(?:started|begun|aired|premiered|released|published)|premieres in",
            r"is (?:streaming|still) live|upcoming|(?:not|isn.t) (?:currently |yet )?(?:live|streaming|"
            r"broadcasting|online|on ?air)\b",
            r"(?:is|was|currently|are) offline|: offline\W*$|not available yet|"
            r"not (?:yet )?available.{0,12}yet",
            r"will be available|no active streams?|not downloadable yet",
            r"processing this video|private show|(?:still|being|currently|video is) (?:being )?(?:processed|"
            r"processing|encoded|transcoded|"
            r"converted)",
            r"live stream is offline|scheduled|uploading for|waiting for (?:the )?(?:live|scheduled)|"
            r"in waiting room",
            r"(?:hasn.t|didn.t|did not) (?:start(?:ed)?|air(?:ed)?|begun)|archive will be available|"
            r"not yet available|"
            r"still (?:be )?(?:uploading|processing)|"
            r"(?:queued|waiting) for (?:processing|encoding|transcoding)|"
            r"not (?:yet )?(?:been )?approved|\bcoming soon|"
            r"not (?:\w+ )?(?:streaming|broadcasting|live)(?: now| live)?\b",
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
            r"(?:play|api|request|download|daily|usage) limit|(?<!experience )throttl|(?:rate|request|quota|"
            r"bandwidth) limit (?:exceeded|reached)|(?<!recursion )(?:limit|rate|quota) (?:was |"
            r"has been )?reached",
            r"requests per (?:second|minute|hour|day)|over quota|requests? too (?:fast|frequent|often)|"
            r"temporarily blocked due to|bandwidth limit",
            r"(?:please |: |[45]\d\d )slow ?down|slow ?down[.!]?\s*$",
            r"exceeded the (?:rate|limit)|please wait (?:a (?:few|while)|and try)",
        ),
        "rate_limited",
        "yes",
        guidance="The source asks for fewer requests: wait for its cool-down, lower the rate, then retry.",
    ),
    Sign(  # the hint that follows a refusal by region
        _words(r"use a vpn or a proxy|try using (?:a )?proxy"),
        "download_blocked",
        "after-fix",
        guidance=_GEO,
    ),
    Sign(  # before what is gone: "content was not found, it might be private. Use --cookies"
        _words(
            r"might be private.{0,60}use --(?:cookies|username)|cookies .{0,80}not found among|"
            r"not available for free|to the current logged|playlists that require authentication|"
            r"log into an account that has access"
        ),
        "download_blocked",
        "after-fix",
        guidance=_LOGIN,
    ),
    Sign(  # before logins: "This video is private. If the owner has granted you access, please sign in"
        _words(r"(?:video|post|account|playlist|content) is private\b.{0,120}(?:owner|grant)"),
        "invalid_source",
        "no",
        where="source",
    ),
    Sign(  # before what is gone: "Cannot find webpage. You must log in"
        _words(
            r"(?:must|need to|have to|please) (?:first )?(?:be )?(?:log|sign)(?:ged|"
            r"ed)?[ -]?in(?!.{0,12}owner)"
        ),
        "download_blocked",
        "after-fix",
        where="source",
        guidance=_LOGIN,
    ),
    Sign(  # before regions: "Learn more about it in your country"
        _words(
            r"removed for violating|violat\w{1,5} .{0,40}(?:policy|guidelines|terms)|said: invalid param|"
            r"(?:playlist|feed|channel) is empty"
        ),
        "invalid_source",
        "no",
        where="source",
    ),
    Sign(
        _words(
            r"live dash|(?:downloading )?(?:live|encrypted) \w{2,12} (?:videos?|streams?) (?:is|"
            r"are) not supported"
        ),
        "download_blocked",
        "after-fix",
        guidance=UPDATE,
    ),
    Sign(_words(r"fragment \S{1,8} not found"), "download_timeout", "yes", weight=1),
    Sign(_words(r"no playable streams? found"), "invalid_source", "no", where="source", weight=1),
    Sign(
        _words(r"\bDRM\b|widevine|fairplay|playready|digital rights|encrypted media"),
        "invalid_source",
        "no",
        guidance="The media is DRM-protected and will not be fetched: ask for another source.",
    ),
    Sign(
        _words(
            r"(?:in|from|for|to|at) (?:your|this|certain|some|the) (?:\w+ ){0,2}(?:countr|region|location|"
            r"territor|area)",
            r"geo[- ]?(?:graphic|restrict|block|lock|bypass|fenc|locat)|outside (?:of )?(?:the |your |"
            r"its )?\w+",
            r"\bvpn\b|blocked it in",
            r"(?:available|accessible|viewable|licen[sc]ed) only (?:in|within|to|from)",
            r"only (?:available|accessible|viewable) (?:in|from|within)",
            r"\bin (?:the )?\w+ only\b|your (?:country|region|location|territory)|(?:country|"
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
            r"suspicious|impersonat|human verification|unusual (?:location|activity)|access blocked",
            r"ip (?:address )?(?:is |was |has been )?(?:\w+ )?(?:blocked|banned|blacklisted)|your ip",
            r"(?:request|access|ip) (?:is |was |has been )?(?:blocked|rejected)|playback on other|"
            r"to (?:everyone|all users|some users)|only images are available",
            r"access (?:to this .{0,30}|(?<!\] access )is )?denied|po[ _]?token|anti-?bot|fingerprint",
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
    Sign(  # what yt-dlp adds after the reason
        _words(r"requested format (?:is )?not available|no (?:video )?formats? (?:found|available)"),
        "download_blocked",
        "after-fix",
        weight=1,
        guidance=UPDATE,
    ),
    Sign(
        _words(
            r"(?:network|workspace) administrator",
            r"(?:video|content) is restricted|no (?:\w+ ){1,4}found!?; please report",
            r"on this (?:app|device|browser|client|version)|latest version of (?!youtube-dl|yt-dlp)",
            r"\btoken\w* (?:has|have|is) (?:been )?(?:expired|invalid)|"
            r"embed-only|without embedding url|matching the requested|"
            r"accept (?:the |our |its )?(?:new |updated )?(?:privacy|terms|cookie)|unable to log ?in\b",
        ),
        "download_blocked",
        "after-fix",
        guidance=UPDATE,
    ),
    Sign(
        _words(
            r"(?:content|video|clip|post|media) deleted|no such (?!file)\w+|url is incorrect|(?:includes?|"
            r"contains?) no videos?|"
            r"(?:is|are|was|currently|been) (?:currently |been )?(?:unavailable|"
            r"not (?:currently )?available)",
            r"does not contain (?:any )?audio|(?:is|are) private\b|no (?:\w+ ){1,6}(?:found|exists?|"
            r"could be found)",
            r"private (?:video|post|account|content|playlist|group|profile|show)",
            r"(?:video|post|account|profile|it|track|content|playlist|tweet) (?:is|are) (?:set to )?private",
            r"(?:removed|deleted|taken down|disabled|withdrawn|blocked) (?:by|for|due|because|from|at)",
            r"has been (?:\w+ )?(?:removed|deleted|disabled|suspended|terminated|taken)",
            r"(?:was|were|been|is|video|account|post) (?:deleted|removed|terminated|suspended|banned|"
            r"taken down)",
            r"(?<!properly )terminated|suspended|copyright|terms of (?:service|use)|no longer (?:available|"
            r"exist|"
            r"accessible)",
            r"(?:does|do|did) ?n[o']t exist|doesn.t exist|(?<!fragment )(?<!domain name )not (?:be )?found\b",
            r"unsupported .{0,30}\burl|could ?n[o']t be found|cannot find|can.t find|unsupported url",
            r"is not a valid url|invalid url|no host (?:given|supplied)|unsupported (?:url )?scheme",
            r"no suitable extractor|unsupported protocol|incomplete youtube id|truncated (?:id|url)",
            r"url (?:looks|appears) truncated|unknown url type|not supported url|malformed url",
            r"(?:video|content|media|page|post|episode|clip|stream|track|resource|item|recording|"
            r"tweet) (?:\w+ )?(?:is |are )?(?:not available|unavailable|isn.t available|expired|missing|"
            r"gone)",
            r"(?<!certificate )(?:has|is) (?:been |already )?(?:ended|expired|finished|over)\b|piracy|"
            r"did not contain",
            r"no (?:video|media|clip|episode|embed|downloads?|such video)s? (?:\w+ ){0,3}(?:in|on|at|for|"
            r"found|results|"
            r"available|posted)",
            r"there(?:.s| is) no (?:video|media)|doesn.t (?:have|contain) (?:a |any )?(?:video|media)",
            r"(?:does not|doesn.t|do not) (?:have|contain) (?:a |any )?(?:\w+ ){0,2}(?:video|media)|"
            r"this video is unavailable",
            r"recogni[sz]e (?:the|this|that) url|unviewable|couldn't find (?:that|this|the) \w+|"
            r"不存在|删除|失效|不可见|下架|找不到",
            r"file:// (?:scheme|urls)|url scheme|not made this video available|nonexist",
            r"been cancell?ed|no \w+ with (?:index|id|number)|no entry in|no \w+/\w+ \w+ found|"
            r"\bis not a (?:video|film|movie|clip)\b|"
            r"not archived|rights (?:have )?expired|with id \S+ exists|no video/audio found|"
            r"replay is disabled|"
            r"not (?:been )?made available|neither archive|website is no|without video id|"
            r"invalid (?:\w+ ){1,3}redirect|\bblob url|no \w+ in url|"
            r"url is missing|is not a file|link (?:is|has) (?:expired|dead)|empty playlist|"
            r"does not pass filter|invalid video id|forget to quote the url|only video extraction|"
            r"does the playlist exist|(?:channel|user|account|profile|playlist) has no \w|"
            r"does not have an? \S{1,40} tab\b|invalid search query",
        ),
        "invalid_source",
        "no",
        where="source",
    ),
    Sign(
        _words(
            r"this video (?:is|has been) (?:private|unavailable|removed|deleted)|private video",
            r"no suitable (?:info)?extractor|video unavailable|unsupported url|doesn.t make any sense|"
            r"(?<!network name is )no longer available|disabled in libcurl|bad/illegal format|"
            r"locationparseerror|failed to parse: (?:url|http)\S*$|"
            r"invalidurl\b",
            r"is missing an .http|unsupportedprotocol|account (?:associated|has been).{0,60}terminated|"
            r"is not a valid url",
            r"video (?:has been|was) (?:removed|deleted)|copyright (?:claim|grounds|infring)",
            r"violat\w+ .{0,40}terms of service|video (?:does not|doesn.t) exist|video not found|\b(?:feed|"
            r"podcast) not found|invalid url",
            r"recogni[sz]e (?:the|this|that) url|no (?:host|scheme) supplied|nonhttpurl|curl: \((?:19|78)\)|"
            r"protocol \S{1,20} (?:is )?not supported|unknown url type|invalidschema|"
            r"no connection adapters",
            r"(?:video|programm?e?|episode|content|clip|stream|media|rights) (?:is |are |has |have |"
            r"was )?(?:not available|"
            r"unavailable|expired|been (?:removed|deleted))",
            r"no plugin can handle|used for piracy|no video in this|not made this video available|"
            r"video is unavailable",
        ),
        "invalid_source",
        "no",
    ),
    Sign(
        _words(
            r"confirm your age|age[- ]?(?:restrict|limit|verif|gate|check|confirm)|inappropriate for some",
            r"会员|登录|地区|付费|权限",
            r"suitable for (?:those|people|viewers|persons) aged|only available between|"
            r"auth(?:entication)? error",
            r"nsfw|\bsensitive|\bmature|\badult|log you in|sign in|sign-in|log[- ]?in|logged[- ]in|login|"
            r"authenticat",
            r"cookies?\b|credential|password|account|unauthori[sz]ed|registered users|service provider|"
            r"supporter|have to pay|not free|inaccessible|referer|restricted|rejected|members?[- ]only",
            r"join this channel|members on|(?:video|content|post|episode|account|it) (?:\S+ )?is locked|"
            r"premium|"
            r"(?<!un)subscri(?!ptable)|paid|payment|purchase|rent(?:al|ed)?\b|paywall",
            r"pay to|ticket|(?:only|be) (?:available|visible|accessible) (?:to|for)|"
            r"friends|followers",
            r"have (?:access|permission)|not authori[sz]ed|forbidden",
        ),
        "download_blocked",
        "after-fix",
        where="source",
        guidance=_LOGIN,
    ),
    Sign(
        _words(
            r"(?:redirect\w* to|behind) .{0,20}login page|checkpoint required|cookies (?:are|have|"
            r"is) (?:been )?(?:no longer valid|expired|rotated|invalid)|use --login|login (?:error|required|"
            r"failed)|"
            r"sign in to (?:confirm|view|watch)|\bnsfw|confirm your age|age[- ]restricted|login required",
            r"members[- ]only|join this channel|use --cookies|only available (?:to|for) registered",
            r"(?:please|must|need to|have to) (?:first )?(?:sign|log)[- ]?in\b|requires? (?:a )?(?:login|"
            r"subscription|payment|premium)|log in to|require logging in",
        ),
        "download_blocked",
        "after-fix",
        guidance=_LOGIN,
    ),
)
