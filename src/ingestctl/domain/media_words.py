"""The words of media and of the tools that read it: the middle of the table of words.

The order of its rows matters as in :mod:`ingestctl.domain.service_words`.
"""

from __future__ import annotations

from ingestctl.domain.cause_signs import TROUBLE, Sign
from ingestctl.domain.cause_signs import words as _words
from ingestctl.domain.tool_words import TOOL_SIGNS

_SILENT = "The video has no audio to extract; a transcript cannot be made from it."

MEDIA_SIGNS: tuple[Sign, ...] = (
    Sign(  # what came instead of a video
        _words(r"\btitled?:? \"?(?:sign|log)[ -]?in\b"), "download_blocked", "after-fix"
    ),
    Sign(  # pydub, before the output that tells
        _words(r"decoding failed\. ffmpeg returned error code"),
        "audio_extraction_failed",
        "after-fix",
        weight=0,
    ),
    Sign(  # a worker's own summary
        _words(
            r"audio (?:conversion|extraction) failed\W*$|"
            r"(?:failed|unable|could not|cannot|error) (?:to )?extract\w* (?:the )?audio\W*$"
        ),
        "audio_extraction_failed",
        "after-fix",
        weight=0,
    ),
    Sign(_words(r"'\w+' format does not support '\w+' codec"), "audio_extraction_failed", "after-fix"),
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
            r"^(?:\[[^\]]{1,60}\] )?(?:-isync for input|both -filter and|build without libav|"
            r"error parsing (?:option '|discard)|missing argument for option|device creation failed|"
            r"preset \S{1,40} specified for stream|please prefix target|parse error, at least|"
            r"no protocol name specified|impossible to open the '\w+' protocol|"
            r"invalid (?:option or argument|syntax: '|canvas size|filter device|force_key_frames|"
            r"line found in the|"
            r"max_alloc|metadata specifier|sync file index|chapter index|value '.{1,80}' for option)|"
            r"only one of |error setting up codec context|"
            r"error parsing (?:bitstream filter seq|framerate|rc_override)|file for preset|-\w+ value |"
            r"no (?:bitstream filter|codec|filter|filename) (?:name )?specified|"
            r"invalid (?:\w+ )?(?:specification for|framerate value|frame size: |time base|sample format '|"
            r"aspect ratio|loglevel|report|"
            r"device spec|maximum framerate|stream specifier|output link|input file index|\w+ index \d))",
        ),
        "configuration",
        "after-fix",
    ),
    Sign(
        _words(
            r"(?:timeoutexpired: |command '\[').{0,80}ff(?:mpeg|probe).{0,1200}timed out|"
            r"timeoutexpired: .{0,40}ff(?:mpeg|probe)|\bff(?:mpeg|probe)\S{0,4} timed out|"
            r"(?:extract|probe|transcode) failed: command .{1,1200}timed out|"
            r"extract\w* (?:the )?(?:audio )?(?:of|from) \S{1,80} timed out"
        ),
        "audio_extraction_failed",
        "yes",
    ),
    Sign(
        _words(r"when processing input: 'avcodec_|: 'av(?:codec|filter)_\w+\("),
        "audio_extraction_failed",
        "after-fix",
    ),
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
    Sign(
        _words(r"error opening input: end of file|contradictionary stsc"), "not_media", "after-fix", weight=1
    ),
    Sign(
        _words(
            r"error opening input(?: files?)?: invalid data found|"
            r"\[in#\d+(?:/\w+)? @ .{0,60}error reading header"
        ),
        "not_media",
        "no",
        weight=1,
    ),
    Sign(  # ffmpeg's own summaries, after the line that told
        _words(
            r"(?:^|[:\]|-] )error opening (?:in|"
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
        _words(r"^\S{1,300}\.\w{2,4}: end of file$|\] end of file: '"),
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
            r"premature end|misdetection possible|hit eof while reading s\w\w\w",
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
    *TOOL_SIGNS,
    Sign(
        _words(
            r"could not find codec param|consecutive mpeg audio frames",
            r"(?:unknown|unsupported|invalid|unrecognized) (?:file|image|media|video) format|ebml header",
            r"invalid as first byte",
            r"not a (?:valid )?(?:video|media|audio|mp4|webm|riff)\b|does not look like a (?:video|media)",
            r"is an? html page|expected (?:a )?(?:video|media), got|unexpected content.?type|is not media|"
            r"looks like (?:html|an? (?:image|web))|no decodable",
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
            r"\(near\) nan|finishing stream .{0,20}without any data|error in avcodec|decoding (?:failed|"
            r"error)|"
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
            r"codec tag found for codec|incompatible with output codec id|(?:en|de)coding context|"
            r"configuring filter graph|configuring the \w+ filter|"
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
