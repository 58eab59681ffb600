"""What a hostile server answers with: redirects, playlists and bodies, and how each must end.

``{bad}`` is an address that is not allowed (127.0.0.2 and a port), ``{base}`` the hostile server, which is,
``{secret}`` a file of this machine.
"""

from __future__ import annotations

from dataclasses import dataclass

REDIRECTS = [
    *(f"trick=redirect&code={code}&to=http://{{bad}}/v.mp4" for code in (301, 302, 303, 307, 308)),
    "trick=redirect&after=1&to=http://{bad}/v.mp4",
    "trick=redirect&after=1&code=307&to=http://{bad}/v.mp4",
    "trick=redirect&to=//{bad}/v.mp4",
    "trick=redirect&to=http://2130706434:{port}/v.mp4",
    "trick=redirect&to=http://0x7f.2:{port}/v.mp4",
    "trick=redirect&to=http://0177.0.0.2:{port}/v.mp4",
    "trick=redirect&to=http://127.2:{port}/v.mp4",
    "trick=redirect&to=http://[::ffff:127.0.0.2]:{port}/v.mp4",
    "trick=redirect&to=http://[::1]:{port}/v.mp4",
    "trick=redirect&to=http://127.0.0.1@{bad}/v.mp4",
    "trick=redirect&to=http://169.254.169.254/latest/meta-data/",
    "trick=redirect&to=http://rebound.example:{port}/v.mp4",
    "trick=redirect&to=https://{bad}/v.mp4",
    "trick=redirect&to=http:\\\\{bad}\\v.mp4",
    "trick=redirect&to=file://{secret}",
    "trick=redirect&to=ftp://{bad}/v.mp4",
    "trick=redirect&to=gopher://{bad}/v.mp4",
    "trick=redirect&to=data:video/mp4;base64,AAAA",
    "trick=redirect&to=rtmp://{bad}/v",
    "trick=refresh&to=http://{bad}/v.mp4",
    "trick=refresh&to=file://{secret}",
    "trick=loop",
    "trick=chain&left=40",
    "trick=redirect&to={base}/v.mp4%3Ftrick=redirect%26to=http://{bad}/v.mp4",
]

_HLS = "#EXTM3U\n#EXT-X-VERSION:6\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n"
_SEGMENT = "#EXTINF:4,\n{segment}\n#EXT-X-ENDLIST\n"
_MPD = (
    '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT4S"><Period>{base_url}<AdaptationSet mimeType="video/mp4">'
    '<Representation id="1" codecs="avc1.42c00a,mp4a.40.2" bandwidth="1000" width="160" height="120">'
    "{inner}</Representation></AdaptationSet></Period></MPD>"
)


def _hls(segment: str, before: str = "") -> str:
    return _HLS + before + _SEGMENT.replace("{segment}", segment)


def _mpd(inner: str, base_url: str = "") -> str:
    return _MPD.replace("{inner}", inner).replace("{base_url}", base_url)


PLAYLISTS = {
    "segment.m3u8": _hls("http://{bad}/s.ts"),
    "segment-decimal.m3u8": _hls("http://2130706434:{port}/s.ts"),
    "segment-redirected.m3u8": _hls("{base}/s.ts?trick=redirect&to=http://{bad}/s.ts"),
    "segment-metadata.m3u8": _hls("http://169.254.169.254/latest/user-data"),
    "segment-named.m3u8": _hls("http://rebound.example:{port}/s.ts"),
    "segment-file.m3u8": _hls("file://{secret}"),
    "segment-data.m3u8": _hls("data:video/mp2t;base64,RwAA"),
    "segment-ftp.m3u8": _hls("ftp://{bad}/s.ts"),
    "segment-concat.m3u8": _hls("concat:http://{bad}/a|http://{bad}/b"),
    "segment-second.m3u8": _hls("{base}/v.mp4\n#EXTINF:4,\nhttp://{bad}/s.ts"),
    "map.m3u8": _hls("{base}/v.mp4", '#EXT-X-MAP:URI="http://{bad}/init.mp4"\n'),
    "map-file.m3u8": _hls("{base}/v.mp4", '#EXT-X-MAP:URI="file://{secret}"\n'),
    "key.m3u8": _hls("{base}/v.mp4", '#EXT-X-KEY:METHOD=AES-128,URI="http://{bad}/key"\n'),
    "key-file.m3u8": _hls("{base}/v.mp4", '#EXT-X-KEY:METHOD=AES-128,URI="file://{secret}"\n'),
    "key-sample.m3u8": _hls("{base}/v.mp4", '#EXT-X-KEY:METHOD=SAMPLE-AES,URI="http://{bad}/key"\n'),
    "master.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\nhttp://{bad}/media.m3u8\n",
    "master-file.m3u8": "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\nfile://{secret}\n",
    "master-audio.m3u8": '#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="a",DEFAULT=YES,URI="http://{bad}/a.m3u8"'
    '\n#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS="avc1.42c00a,mp4a.40.2",AUDIO="a"\n{base}/segment.m3u8\n',
    "base.mpd": _mpd(
        '<SegmentList><SegmentURL media="s.m4s"/></SegmentList>', "<BaseURL>http://{bad}/</BaseURL>"
    ),
    "base-file.mpd": _mpd("<BaseURL>file://{secret}</BaseURL>"),
    "whole.mpd": _mpd("<BaseURL>http://{bad}/v.mp4</BaseURL>"),
    "list.mpd": _mpd(
        '<SegmentList duration="4"><Initialization sourceURL="{base}/v.mp4"/>'
        '<SegmentURL media="http://{bad}/s.m4s"/></SegmentList>'
    ),
    "initialization.mpd": _mpd(
        '<SegmentList duration="4"><Initialization sourceURL="http://{bad}/i.mp4"/>'
        '<SegmentURL media="{base}/v.mp4"/></SegmentList>'
    ),
    "template.mpd": _mpd('<SegmentTemplate media="http://{bad}/$Number$.m4s" duration="4" startNumber="1"/>'),
}


@dataclass(frozen=True, slots=True)
class Body:
    """A body that means ill, and how it must end."""

    trick: str
    code: str
    cause: str
    exit: int
    deadline_s: float = 60
    silence_s: float = 20
    """How long the source may keep silent: short where that must end it, or a busy machine could."""


BODIES = [
    Body("endless", "source_refused", "invalid_source", 15),
    Body("claim", "source_refused", "invalid_source", 15),
    Body("gzip", "source_refused", "invalid_source", 15),
    Body("br", "source_refused", "invalid_source", 15),
    Body("page", "source_refused", "invalid_source", 15),
    Body("packedpage", "source_refused", "invalid_source", 15),
    Body("drip", "deadline_exceeded", "download_timeout", 22, deadline_s=3),
    Body("dripheader", "deadline_exceeded", "download_timeout", 22, deadline_s=3),
    Body("silent", "source_failed", "download_timeout", 20, silence_s=1),
    Body("endlessheader", "source_failed", "download_timeout", 20),
    Body("short", "source_failed", "download_timeout", 20),
    Body("long", "audio_extraction_failed", "audio_extraction_failed", 20),
    Body("nonsense", "source_failed", "download_timeout", 20),
]
