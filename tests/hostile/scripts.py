"""Texts and movies that name something else to be opened. ``{other}`` is a file beside them, ``{abs}`` its
absolute path, ``{port}`` a port of this machine, ``{http}`` a URL there; none of it may be touched."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_TOP = "#EXTM3U\n#EXT-X-TARGETDURATION:9\n"
_HLS = _TOP + "#EXTINF:9,\n"
_MPD = (
    '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" mediaPresentationDuration="PT9S"><Period>'
    '<AdaptationSet mimeType="video/mp4"><Representation id="1">'
)
TEXTS: dict[str, str] = {
    "concat.mp4": "ffconcat version 1.0\nfile {other}\n",
    "concat-absolute.mp4": "ffconcat version 1.0\nfile '{abs}'\nduration 9\n",
    "concat-url.mp4": "ffconcat version 1.0\nfile file:{abs}\nfile {http}\n",
    "concat-hidden.mp4": "ffconcat version 1.0\n# \x01\x02\nfile {other}\n",
    "concat-stream.mp4": "ffconcat version 1.0\nstream\nexact_stream_id 1\nfile subfile,,start,0,:{abs}\n",
    "hls.mp4": _HLS + "{other}\n#EXT-X-ENDLIST\n",
    "hls-absolute.mp4": _HLS + "file://{abs}\n#EXT-X-ENDLIST\n",
    "hls-http.mp4": _HLS + "{http}\n#EXT-X-ENDLIST\n",
    "hls-concat.mp4": _HLS + "concat:{abs}|{http}\n#EXT-X-ENDLIST\n",
    "hls-key.mp4": _TOP + '#EXT-X-KEY:METHOD=AES-128,URI="{abs}"\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n',
    "hls-key-http.mp4": _TOP + '#EXT-X-KEY:METHOD=AES-128,URI="{http}"\n#EXTINF:9,\n'
    "{other}\n#EXT-X-ENDLIST\n",
    "hls-map.mp4": _TOP + '#EXT-X-MAP:URI="{other}"\n#EXTINF:9,\n{other}\n',
    "hls-master.mp4": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{http}\n",
    "hls-audio.mp4": '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",URI="{other}"\n'
    '#EXT-X-STREAM-INF:BANDWIDTH=1,AUDIO="a"\n{other}\n',
    "hls-data.mp4": _HLS + "data:video/mp4;base64,AAAA\n#EXT-X-ENDLIST\n",
    "hls-hidden.mp4": "#EXTM3U\n#\x01\x02\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\n{other}\n#EXT-X-ENDLIST\n",
    "hls-crypto.mp4": _HLS + "crypto+file:{abs}\n#EXT-X-ENDLIST\n",
    "hls-gopher.mp4": _HLS + "gopher://127.0.0.1:{port}/1\n#EXT-X-ENDLIST\n",
    "dash.mp4": _MPD + "<BaseURL>{other}</BaseURL></Representation></AdaptationSet></Period></MPD>",
    "dash-http.mp4": _MPD + '<SegmentList><SegmentURL media="{http}"/>'
    "</SegmentList></Representation></AdaptationSet></Period></MPD>",
    "dash-hidden.mp4": '\x01<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" profiles="urn:mpeg:dash:profile:isoff-'
    'on-demand:2011"><Period><BaseURL>{abs}</BaseURL></Period></MPD>',
    "xlink.mp4": '<MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><Period xlink:href="{http}" '
    'xlink:actuate="onLoad"/></MPD>',
    "entity.mp4": '<?xml version="1.0"?><!DOCTYPE MPD [<!ENTITY x SYSTEM "file://{abs}">]><MPD>&x;</MPD>',
    "smooth.mp4": '<SmoothStreamingMedia MajorVersion="2"><StreamIndex Url="{http}"/></SmoothStreamingMedia>',
    "list.m3u.mp4": "{abs}\n{http}\n",
    "list.pls.mp4": "[playlist]\nNumberOfEntries=1\nFile1={http}\nVersion=2\n",
    "list.xspf.mp4": '<?xml version="1.0"?><playlist version="1" xmlns="http://xspf.org/ns/0/"><trackList><track>'
    "<location>file://{abs}</location></track></trackList></playlist>",
    "list.asx.mp4": '<asx version="3.0"><entry><ref href="{http}"/></entry></asx>',
    "list.asf.mp4": "[Reference]\nRef1={http}\n",
    "list.wpl.mp4": '<?wpl version="1.0"?><smil><body><seq><media src="{other}"/></seq></body></smil>',
    "list.ram.mp4": "rtsp://127.0.0.1:{port}/a.rm\n",
    "list.qtl.mp4": '<?xml version="1.0"?><?quicktime type="application/x-quicktime-media-link"?>'
    '<embed src="{http}"/>',
    "session.sdp.mp4": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=audio {port} RTP/AVP 0\n",
    "session-rtsp.mp4": "RTSPtextrtsp://127.0.0.1:{port}/x\r",
    "subtitle.srt.mp4": '1\n00:00:00,000 --> 00:00:09,000\n<img src="{http}">{other}\n',
    "subtitle.vtt.mp4": "WEBVTT\n\n00:00.000 --> 00:09.000\n{http}\n",
    "subtitle.ass.mp4": "[Script Info]\nScriptType: v4.00+\nVideo File: {other}\n\n[Events]\n"
    "Dialogue: 0,0:00:00.00,0:00:09.00,Default,,0,0,0,,x\n",
    "subtitle.idx.mp4": "# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n"
    "timestamp: 00:00:01:000, filepos: 000000000\n",
    "subtitle.sub.mp4": "{{0}}{{9}}{other}\n{{10}}{{19}}x\n",
    "subtitle.smi.mp4": "<SAMI><BODY><SYNC Start=0><P>x</SAMI>",
    "subtitle.ttml.mp4": '<tt xmlns="http://www.w3.org/ns/ttml"><body><div backgroundImage="{http}"/></body>'
    "</tt>",
    "metadata.mp4": ";FFMETADATA1\ntitle={other}\n",
    "image.svg.mp4": '<svg xmlns="http://www.w3.org/2000/svg"><image href="{http}"/></svg>',
    "shell.mp4": "#!/bin/sh\ncat {abs}\n",
}


PATTERN = "img%03d.png"
NAMES = (
    "-i.mp4", "-", "concat:other.mp4|other.mp4", "subfile,,start,0,end,0,,:other.mp4", "data:other.mp4",
    "cache:other.mp4", "pipe:0", "other.mp4?x=1#y", PATTERN, "*.mp4", "new\nline.mp4",
)  # fmt: skip
"""Names of a good video that ffmpeg could read as something else."""


def _box(kind: bytes, *body: bytes) -> bytes:
    data = b"".join(body)
    return struct.pack(">I4s", 8 + len(data), kind) + data


def movies(whole: bytes, other: str, absolute: str, http: str) -> Iterator[tuple[str, bytes]]:
    """QuickTime movies and an AVI that refer to another file."""
    ftyp = _box(b"ftyp", b"qt  \0\0\2\0qt  ")
    for kind, where in ((b"url ", http), (b"url ", f"file://{absolute}"), (b"alis", other)):
        reference = _box(b"rdrf", bytes(4), kind, struct.pack(">I", len(where) + 1), where.encode() + b"\0")
        movie = ftyp + _box(b"moov", _box(b"rmra", _box(b"rmda", reference)))
        yield f"reference-{kind.decode().strip()}-{len(where)}.mov", movie
        entry = _box(kind, bytes(4), where.encode() + b"\0")
        yield f"data-{kind.decode().strip()}-{len(where)}.mp4", _with_data_elsewhere(whole, entry)
    yield "gab2.avi", _gab2(f"#EXTM3U\n#EXT-X-TARGETDURATION:9\n#EXTINF:9,\nfile://{absolute}\n")
    yield "gab2-concat.avi", _gab2(f"ffconcat version 1.0\nfile {other}\n")


def _with_data_elsewhere(whole: bytes, entry: bytes) -> bytes:
    """The same movie, its index at the end; its tracks say that their samples are in another file."""
    at, data = 0, bytearray(whole)
    while (at := data.find(b"dref", at + 1)) >= 0:
        dref_size = struct.unpack_from(">I", data, at - 4)[0]
        grown = len(entry) - (dref_size - 16)
        for parent in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
            where = data.rfind(parent, 0, at + 4) - 4
            struct.pack_into(">I", data, where, struct.unpack_from(">I", data, where)[0] + grown)
        data[at + 12 : at - 4 + dref_size] = entry
    return bytes(data)


def _gab2(text: str) -> bytes:
    """An AVI with one text stream, whose chunk is a subtitle file that a demuxer would be guessed for."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack("<4sI", kind, len(body)) + body + bytes(len(body) & 1)

    body = text.encode()
    subtitle = b"GAB2\0" + struct.pack("<HI", 2, 2) + b"\0\0" + struct.pack("<HI", 4, len(body)) + body
    header = struct.pack("<14I", 40_000, 0, 0, 0, 1, 0, 1, 0, 160, 120, 0, 0, 0, 0)
    stream = struct.pack(
        "<4s4sIHHIIIIIIII4H", b"txts", bytes(4), 0, 0, 0, 0, 1, 25, 0, 9, 0, 0, 0, 0, 0, 0, 0
    )
    headers = b"hdrl" + chunk(b"avih", header)
    headers += chunk(b"LIST", b"strl" + chunk(b"strh", stream) + chunk(b"strf", b""))
    movi = b"movi" + chunk(b"00tx", subtitle)
    return chunk(b"RIFF", b"AVI " + chunk(b"LIST", headers) + chunk(b"LIST", movi))
