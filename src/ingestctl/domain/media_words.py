"""The words of media and of the tools that read it: the middle of the table of words.

The order of its rows matters as in :mod:`ingestctl.domain.service_words`.
"""

from __future__ import annotations

from ingestctl.domain.cause_signs import TROUBLE, Sign
from ingestctl.domain.cause_signs import words as _words

_SILENT = "The video has no audio to extract; a transcript cannot be made from it."
_TOOL = "A program or library the worker needs is missing or too old: install it, then retry."

MEDIA_SIGNS: tuple[Sign, ...] = (
    # --- media --------------------------------------------------------------------------------
    Sign(  # an extractor of a page that shows something else
        _words(r"\berror: (?:\[[^\]]{1,40}\] \S{1,80}: )?[^:]{0,80}\bis not a video\b"),
        "invalid_source",
        "no",
    ),
    Sign(  # how ffmpeg ends where something went wrong before
        _words(
            r"nothing was (?:written|encoded)|could not open encoder before eof|no filtered frames|"
            r"output file is empty|task finished with error|terminating thread with return|"
            r"error sending frames to"
        ),
        "audio_extraction_failed",
        "after-fix",
        weight=1,
    ),
    Sign(_words(r"error applying option '"), "audio_extraction_failed", "after-fix"),
    Sign(  # what ffmpeg says of its command line
        _words(
            r"^(?:\[[^\]]{1,60}\] )?(?:only one of |error setting up codec context|"
            r"error parsing (?:bitstream filter seq|framerate|rc_override)|file for preset|-\w+ value |"
            r"no (?:bitstream filter|codec|filter|filename) (?:name )?specified|"
            r"invalid (?:\w+ )?(?:specification for|framerate value|frame size: |time base|sample format '|"
            r"aspect ratio|loglevel|report|"
            r"device spec|maximum framerate|stream specifier|output link|input file index|\w+ index \d))",
        ),
        "configuration",
        "after-fix",
    ),
    Sign(_words(r"timeoutexpired: .{0,40}ff(?:mpeg|probe)"), "audio_extraction_failed", "yes"),
    Sign(_words(r"when processing input: 'avcodec_"), "audio_extraction_failed", "after-fix"),
    Sign(
        _words(
            r"\berror opening (?:in|out)put.{0,400}: (?:permission denied|"
            r"is a directory|read-only|not a directory|operation not permitted|"
            r"(?:encoder|decoder|filter|muxer|protocol|bitstream filter) not found|"
            r"no file descriptors|too many open)",
            r"error opening output.{0,400}: no such file",
        ),
        "configuration",
        "after-fix",
        guidance="ffmpeg may not write or open that path, or lacks the encoder: correct it, then retry.",
    ),
    Sign(
        _words(r"certificate failed verification|certificate is not correctly signed"),
        "download_blocked",
        "after-fix",
        where="media",
    ),
    Sign(  # a local file that is cut, where no line told of the network
        _words(r"\] error opening input: (?:i/o|input/output) error"),
        "not_media",
        "after-fix",
        weight=0,
    ),
    Sign(_words(r"^error opening input files? URL"), "download_timeout", "yes", weight=0),
    Sign(_words(r"error opening input: invalid data found"), "not_media", "no", weight=1),
    Sign(  # ffmpeg's own summaries, after the line that told
        _words(
            r"^(?:\S{1,40}: )?error opening (?:in|"
            r"out)put files?(?: (?:[a-z]:)?[^:]{1,400})?(?:: (?:invalid argument|"
            r"result not .{1,20}|function not implemented|option not found|"
            r"not yet implemented.{1,40}|end of file|"
            r"(?:generic|i/o|input/output|unknown) error.{0,40}))?$"
        ),
        "audio_extraction_failed",
        "after-fix",
        weight=-1,
    ),
    Sign(  # the same of filters and encoders
        _words(
            r"error binding filtergraph|error initializing filter '|"
            r"error (?:re)?initializing (?:complex )?filters|"
            r"inject frame into filter|"
            r"processing the decoded data|"
            r"maybe incorrect parameters|error initializing the muxer"
        ),
        "audio_extraction_failed",
        "after-fix",
        weight=1,
    ),
    Sign(
        _words(
            r"error parsing (?:global )?options|failed to set value|expected number for|"
            r"(?:^|: )\S{1,200}\.(?:mp3|m4a|wav|aac|flac|opus|ogg): no such file"
        ),
        "configuration",
        "after-fix",
        weight=1,
    ),
    Sign(_words(r"^\w{2,12}://\S{1,300}: protocol not found"), "invalid_source", "no"),
    Sign(
        _words(
            r"error opening input: not yet implemented|^\S{1,200}\.\w{2,4}: not yet implemented in ffmpeg|"
            r"patches welcome: '",
        ),
        "not_media",
        "no",
    ),
    Sign(
        _words(r"error opening input: end of file|^\S{1,300}\.\w{2,4}: end of file$"),
        "not_media",
        "after-fix",
    ),
    Sign(_words(r"^URL:? (?:input/output|i/o) error"), "download_timeout", "yes", where="media", weight=1),
    Sign(
        _words(
            r"(?:pull|push) function|keepalive request failed|"
            r"error reading http|http response"
        ),
        "download_timeout",
        "yes",
        where="media",
    ),
    Sign(
        _words(
            r"failed to open (?:segment|resource)|unable to open (?:resource|key file)|"
            r"when loading (?:first )?segment"
        ),
        "download_timeout",
        "yes",
        where="media",
        weight=1,
    ),
    Sign(
        _words(
            r"moov atom not found|(?<!transferred a )partial file|(?:file|input|packet|stream|data) (?:is |"
            r"was )?truncated|"
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
            r"does not contain any stream|matches no streams|add a trailing '\?' to the map",
            r"(?:no|not? find(?: an?)?) audio (?:stream|track|codec)|without audio",
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
            r"no such file or directory: ?b?['\"] ?\S{0,80}ff(?:mpeg|probe)|cannot find ff(?:mpeg|probe)",
            r"failed ?mount|failedattachvolume|unable to (?:attach or )?mount|unattached|waiting for volumes|"
            r"configmaps? \"|distribution was not found|distributionnotfound|requires python \d|"
            r"unsupported version of python|"
            r"(?:aria2c|atomicparsley|mutagen|pycryptodome\w?|rtmpdump|mplayer|mpv|curl_cffi|"
            r"avconv) (?:was )?not (?:found|installed)|"
            r"no such option|cannot find module|executable .{0,20}ffmpeg|unknown (?:en|de)coder|"
            r"unrecognized option|option .{0,60} not found",
            r"(?:^|\] )unknown (?:filter|format|protocol|pixel format|channel layout|bit ?stream filter)\b|"
            r"both -y and -n|could not determine norm|could not open attachment|output stream dispositions|"
            r"error parsing (?:a filter|filterchain|filtergraph)|"
            r"unrecogni[sz]ed hwaccel|cannot be applied to (?:in|out)put|is known to ffmpeg|codec avoption|"
            r"not overwriting - exiting|already exists\. exiting|no input streams but|invalid loglevel|"
            r"-to value|on blacklist|unsafe file name|disabled and cannot be mapped|"
            r"^(?:error parsing framerate|invalid (?:time base|frame size: \S+$|frame rate|aspect ratio|"
            r"input file index))",
            r"missingsectionheader|no section headers|no '=' character|failed to (?:open|parse) (?:progress|"
            r"report|ffreport)|"
            r"declare it as envvar|trust anchors from file|filenotfounderror\(2|no cipher can be selected|"
            r"have to specify one input|(?:bash|sh|zsh|env): (?:line \d+: )?/\S{1,200}: no such file|"
            r"^\S{2,40}: (?:line )?\d+: \S{1,80}: not found|"
            r"validation errors? for \w*config|"
            r"\bin setting (?-i:[A-Z])|curl: \((?:26|27)\)|\bpem lib|key[ _]values[ _]mismatch|get(?:pw|"
            r"gr)\w{3}\(|invalid (?:user|group)\b|"
            r"user \S+ does not exist or|no device available for|yaml\.\w+\.\w+error|failed to (?:open|"
            r"write into|seek) the file|"
            r"cannot write to \S|"
            r"unsupported proxy|can't find command|"
            r"provided as input filename|"
            r"batch file .{1,200} could not|"
            r"(?:exit status|code) 12[67]\b|no usable temporary directory|unable to load celery|"
            r"the module \S+ was not found|unknown output format|thumbnail embedding|"
            r"cannot execute: |can't chdir|failed to find attribute|"
            r"impersonating \S+ is not|failed to make the directory|curl: \((?:5|97)\)|curl: option |"
            r"\.py: error: |optionhandler|"
            r"requested output format .{0,60}not|unable to find a suitable output format",
            r"\bxattrs?\b|extended attributes|\bnetrc machine|(?:specify|using) \"-f|containers\.json|"
            r"error in output template|invalid extractor-arg|same as input #|mismatched '|"
            r"no player clients have been|supported clients are|is not a valid \w{1,20} selection|"
            r"multiple matching extractors|does not work from bundled|invalid backend value|"
            r"unscoped cookies|client certificate|invalid (?:format|filter) specification|"
            r"\bformat specified in|curl version too old|no authenticators for|unsafe (?:default|conversion|"
            r"placeholder)|"
            r"source address\b|socks\d?error|offered authentication methods|shell not found|"
            r"sponskrub not found|multiple separate formats|"
            r"unable to choose an output format|can't open file|no such file or directory: ?'[\w-]{2,20}'|"
            r"please install (?:any|it)\b|could (?:not )?be run\b|cannot write (?:\w+ ){1,5}(?:file|to|"
            r"shortcut)\b|"
            r"failed to load cookies|is detected but is too old|"
            r"no package metadata|packagenotfound|wrong elf class|unsupported locale|"
            r"(?:must|cannot) be used together|but (?:codec copy|streamcopy) was selected|"
            r"codec copy was selected|"
            r"output with label|invalid duration for option|syntax error, .{0,40}usage|"
            r"experimental codecs are|"
            r"(?:codec|encoder) .{0,40}is experimental|"
            r"error splitting the argument|unknown input format|at least one output file|protocol not found",
            r"^\W*(?:error ?: )?(?:bitstream filter|decoder|demuxer|encoder|filter|muxer|option) not found",
            r"createcontainererror|containercannotrun|invalidimagename|is not recognized by ffmpeg|"
            r"status=2\d\d/|failed at step \w+ spawning|back-off pulling|insufficient (?:cpu|memory|pods)|"
            r"\bnodes are available|secret \S{1,80} not found|needs? to be installed|"
            r"dependencies are installed|phantomjs|too old.{0,30}update|"
            r"not found[.,;]? (?:please|you (?:should|need to)) install|runcontainererror|"
            r"env: .{1,40}no such file|"
            r"(?-i:\b(?:yt-dlp|youtube-dl|s3cmd)(?:\.exe|\.py)?: error: )",
            r"\[errno (?:13|20|21|24|30|36)\]|impersonat\w+ targets? .{0,40}available|"
            r"no (?:\w+ )?javascript runtime|javascript runtime .{0,40}(?:not|missing)",
            r"missing dependenc|\bdpapi\b|cookies? database|decrypt (?:\w+ )?cookies?|"
            r"cookies? from (?:the )?keyring|"
            r"no such file.{0,20}cookies?\.txt|netscape (?:http )?(?:cookie|format)",
            r"protocol .{0,60}not on whitelist|(?:automatic )?encoder selection failed|"
            r"error selecting an encoder|no such filter",
            r"encoder \(codec \w{1,20}\) not found|\[PYI-\d|decompression resulted in|"
            r"python shared library|cannot open (?:self|pyinstaller|pkg)|"
            r"not recognized as an internal or external|command not found|exec format error",
            r"executable file not found|error while loading shared libraries|cannot open shared object|glibc",
            r"spawn \S+ ENOENT|winerror 2\b|modulenotfounderror|no module named|cannot import name|"
            r"importerror|dyld: |dll load failed",
            r"ffmpeg not found|couldn.t find (?:ffmpeg|ffprobe|avconv)|trying to load library|oci runtime|"
            r"error response from daemon|unable to start "
            r"container|no such image|failed to pull|manifest unknown|exec user process|exec: \S{1,80}: ",
        ),
        "configuration",
        "after-fix",
        guidance=_TOOL,
    ),
    Sign(
        _words(
            r"could not find codec param|consecutive mpeg audio frames|"
            r"\[in#\d+(?:/\w+)? @ .{0,60}error reading header",
            r"(?:unknown|unsupported|invalid|unrecognized) (?:file|image|media|video) format|ebml header",
            r"invalid as first byte",
            r"not a (?:valid )?(?:video|media|audio|mp4|webm|riff)\b|does not look like a (?:video|media)",
            r"unexpected content.?type|is not media|looks like (?:html|an? (?:image|web))|no decodable",
            r"invalid (?:video|media) file|not an? (?:mp4|webm|media|mpeg)|text/html.{0,30}instead",
            r"unrecognized media|(?<!\] )header missing|(?:file|video|media) (?:is |may be |"
            r"seems )?(?:corrupt|"
            r"damaged)|read the first frame|not a supported (?:file|format|video)|format not recogni|"
            r"failed to (?:probe|read frame size|detect format)|\[NULL @ .{0,40}invalid data|"
            r"not detect (?:file|input) format",
            r"not a video file|cannot determine format(?! of input stream \S{1,8} after EOF \S)|"
            r"unsupported media type",
            r"no video (?:stream|track)s?\b|file is not a (?:video|media)|contains no video|(?:can ?not|"
            r"could not|unable to|failed to) (?:parse|decode|demux|read) (?:the )?(?:media|video|"
            r"input) (?:file|stream)|is not a video\b",
            r"no streams? found|could not open codec|"
            r"(?<!pin )(?<!post )(?<!page )(?<!tweet )(?<!article )(?<!url )does not contain (?:any )?video",
        ),
        "not_media",
        "no",
    ),
    Sign(
        _words(
            r"\[(?:in#\d+/)?(?!hls)(?:\w+,[\w,]+|avi|mpegts|mpeg|mpegvideo|asf|live_flv|rm|mxf|"
            r"concat) @ .{0,400}(?:error|"
            r"fail|invalid|corrupt|truncat|missing|broken|unexpected|out of|exceed|bad |wrong|unable|"
            r"mismatch|"
            r"can.?not|could|unknown)",
        ),
        "not_media",
        "after-fix",
        where="media",
        weight=1,
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
            r"(?<!\.)aac.{0,40}(?:error|malformed|invalid)|decode_slice_header|concealing|no frame",
            r"error number -\d+|nothing was written into output|failed to (?:open|inject)|sample format",
            r"non[- ]monoton|timestamps are unset|pts .{0,20}invalid",
            r"finishing stream .{0,20}without any data|error in avcodec|decoding (?:failed|error)|"
            r"patches welcome",
            r"resource temporarily unavailable|input/output error|immediate exit requested",
        ),
        "audio_extraction_failed",
        "after-fix",
        where="media",
    ),
    Sign(
        _words(
            r"while opening (?:en|de)coder|marking filters|error while decoding stream|error (?:sub|"
            r"trans)mitting (?:a )?packet|audio conversion failed",
            r"error (?:re)?initializing (?:filters|output stream)|too many packets buffered for output",
            r"nothing was written into output|error opening output file",
            r"could not write header|could not find tag for codec|not currently supported in container",
            r"error writing trailer|decoder \(codec \w{1,20}\) not found|specified sample (?:rate|format)",
            r"obtain file audio codec|unsupported codec with id|error opening filters|nothing was encoded|"
            r"filtergraph|"
            r"applying option '|configuring filters|muxing a packet|suitable resampler|channel element \d|"
            r"sample rate index|for unlabeled input pad|processing the decoded data|"
            r"error parsing adts|stream specifier|inject frame into filter|patches welcome|decoding error: |"
            r"(?:en|de)coding context|configuring filter graph|configuring the \w+ filter|"
            r"^error while filtering|(?:audio|video|subtitle) encoding failed|error submitting \w+ frame|"
            r"error initializing (?:bitstream filter|the output stream codec)|no decoder for stream|"
            r"connect (?:audio|video) filter|error applying bitstream|"
            r"error submitting packet|internal bug, should not have|error during demuxing|(?:fail\w*|error|"
            r"could not|unable|"
            r"cannot).{0,20}extract\w* (?:the )?audio",
        ),
        "audio_extraction_failed",
        "after-fix",
    ),
    # --- who is talking inside ffmpeg, where its words are not known -------------------------------
    Sign(
        _words(
            r"\[(?:in#\d+/)?(?!hls)(?:\w+,[\w,]+|avi|mpegts|mpeg|mpegvideo|asf|flv|live_flv|ogg|wav|w64|aiff|"
            r"rm|mxf|"
            r"caf|dv|ivf|nut|aa|ape|tta|wv|amr|gif|image2|tty|iff|swf|vob|dash|concat) @ .{0,400}(?:error|"
            r"fail|"
            r"packet|header|mismatch|"
            r"invalid|corrupt|truncat|missing|broken|unexpected|out of|exceed|bad |wrong|unable|can.?not|"
            r"could|no tracks? found|beyond|unsupported|incorrect|too (?:small|short|large|deep))",
        ),
        "not_media",
        "after-fix",
        where="media",
        weight=1,
        guidance="The file is incomplete or damaged: fetch it again; the same again is a broken source.",
    ),
    Sign(
        _words(
            r"\[(?!https?\b|tcp\b|tls\b|udp\b|rt[ms]ps?\b|hls\b|dash\b|"
            r"srt\b)[\w#:/-]{2,40} @ (?:0x)?[0-9a-f.]{1,16}\] .{0,400}"
            rf"(?:{TROUBLE}|backward|monoton|exhausted|incomplete|overread|underr|out of range|not enough|"
            rf"drop|"
            r"discard|lost|no longer|too (?:many|large|small|short|long)|illegal|header|overflow|reserved|"
            r"\bnot\b|"
            r"multiple frames|misdetect|undefined|non-existing|first_mb|concealing|left block|skip|"
            r"\bonly\b|exactly|required|unavailable|insufficient|outside|expected|unset|< dts|mutually)"
        ),
        "audio_extraction_failed",
        "after-fix",
        where="media",
        weight=1,
    ),
)
