"""The words of programs and libraries that are missing, too old or called wrongly.

They stand in the middle of :mod:`ingestctl.domain.media_words`: ffmpeg's own complaints of its input come
before them, what it says of broken media after them.
"""

from __future__ import annotations

from ingestctl.domain.cause_signs import Sign
from ingestctl.domain.cause_signs import words as _words

_TOOL = "A program or library the worker needs is missing or too old: install it, then retry."

TOOL_SIGNS: tuple[Sign, ...] = (
    Sign(
        _words(
            r"(?:ffmpeg|ffprobe|avconv|avprobe)(?:(?!exited).){0,60}(?:not found|not installed|"
            r"could not be found|no such file)",
            r"no such file or directory: ?b?['\"] ?\S{0,80}ff(?:mpeg|probe)|cannot find ff(?:mpeg|probe)",
            r"failed ?mount|failedattachvolume|unable to (?:attach or )?mount|unattached|waiting for volumes|"
            r"configmaps? \"|distribution was not found|distributionnotfound|requires python \d|"
            r"unsupported version of python|"
            r"(?:aria2c|atomicparsley|mutagen|pycryptodome\w?|rtmpdump|mplayer|mpv|curl_cffi|"
            r"avconv) (?:was |is )?not (?:found|installed)|yt-dlp is not installed|"
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
            r"^\S{2,40}: (?:line )?\d+: \S{1,80}: not found|\bsh: (?:line )?\d+: \S{1,80}: not found|"
            r"validation errors? for \w*config|"
            r"\bin setting (?-i:[A-Z])|curl: \((?:26|27)\)|\bpem lib|key[ _]values[ _]mismatch|get(?:pw|"
            r"gr)\w{3}\(|invalid (?:user(?! ?name)|group)\b|"
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
            r"unable to choose an output format|can't open file|no such file or directory: ?'[\w-]{2,40}'|"
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
            r"classnotfoundexception|could not find or load main class|can't locate \S{1,80}\.pm in @inc|"
            r"syscall: 'spawn|no 'script_location'|"
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
)
