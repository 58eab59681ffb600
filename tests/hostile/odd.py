"""Good files, the odd ones among them: each must give its audio, and be refused by nothing.

The inputs are 0: a picture of 1 s, 1: noise in mono at 44.1 kHz, 2: silence, 3: a tone in 5.1, 4: a cover,
5: subtitles; all are made by ffmpeg in one process.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from tests.hostile.kit import Encoding

if TYPE_CHECKING:
    from collections.abc import Callable

INPUTS = (
    "-f", "lavfi", "-i", "testsrc2=s=160x120:r=10:d=1",
    "-f", "lavfi", "-i", "anoisesrc=d=1:a=0.3:r=44100:seed=7",
    "-f", "lavfi", "-i", "anullsrc=d=1:r=44100:cl=stereo",
    "-f", "lavfi", "-i", "aevalsrc=sin(440*t)|0|0|0|sin(300*t)|0:c=5.1:d=1:s=48000",
    "-i", "cover.jpg", "-i", "subtitle.srt",
)  # fmt: skip
_AV = "-map 0:v -map 1:a "
X264 = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -g 10 "
_FAST = _AV + X264
_M4V = _AV + "-c:v mpeg4 "
_VP8 = _AV + "-c:v libvpx -deadline realtime "

ENCODINGS = [
    # Every codec of moving pictures that people upload.
    Encoding("h264.mp4", _FAST + "-c:a aac -movflags +faststart"),
    Encoding("h264-end.mp4", _FAST + "-c:a aac"),
    Encoding("hevc.mp4", _AV + "-c:v libx265 -preset ultrafast -x265-params log-level=none:pools=1 -c:a aac"),
    Encoding("av1.mp4", _AV + "-c:v libsvtav1 -preset 12 -c:a aac"),
    Encoding("av1.webm", _AV + "-c:v libsvtav1 -preset 12 -c:a libopus"),
    Encoding("vp9.webm", _AV + "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus"),
    Encoding("vp9.mp4", _AV + "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus"),
    Encoding("vp8.webm", _VP8 + "-c:a libopus"),
    Encoding("mpeg1.mpg", _AV + "-c:v mpeg1video -r 25 -c:a mp2"),
    Encoding("mpeg2.mpg", _AV + "-c:v mpeg2video -r 25 -c:a mp2 -f vob"),
    Encoding("mpeg2.ts", _AV + "-c:v mpeg2video -r 25 -c:a mp2"),
    Encoding("mpeg4.avi", _M4V + "-c:a libmp3lame"),
    Encoding("mpeg4.mov", _M4V + "-c:a aac"),
    Encoding("theora.ogv", _AV + "-c:v libtheora -c:a libvorbis"),
    Encoding("prores.mov", _AV + "-c:v prores_ks -c:a pcm_s24le"),
    Encoding("mjpeg.avi", _AV + "-c:v mjpeg -pix_fmt yuvj420p -c:a pcm_s16le"),
    Encoding("mjpeg.mov", _AV + "-c:v mjpeg -pix_fmt yuvj420p -c:a pcm_u8"),
    Encoding("ffv1.mkv", _AV + "-c:v ffv1 -c:a flac"),
    Encoding("huffyuv.avi", _AV + "-c:v huffyuv -pix_fmt yuv422p -c:a pcm_s16le"),
    Encoding("wmv2.wmv", _AV + "-c:v wmv2 -c:a wmav2"),
    Encoding("wmv1.asf", _AV + "-c:v wmv1 -c:a wmav1"),
    Encoding("msmpeg4.avi", _AV + "-c:v msmpeg4 -c:a adpcm_ms"),
    Encoding("sorenson.flv", _AV + "-c:v flv -c:a libmp3lame"),
    Encoding("h264.flv", _FAST + "-c:a aac"),
    Encoding("h263.3gp", _AV + "-s 176x144 -c:v h263 -ar 8000 -c:a aac -b:a 12k"),
    Encoding("h264.3g2", _FAST + "-ar 8000 -c:a aac -b:a 12k"),
    Encoding("amr.3gp", _AV + "-s 176x144 -c:v h263 -ar 8000 -c:a libopencore_amrnb"),
    Encoding("real.rm", _AV + "-s 176x144 -c:v rv10 -c:a ac3"),
    Encoding("dv.mov", _AV + "-s 720x576 -r 25 -pix_fmt yuv420p -c:v dvvideo -c:a pcm_s16le -ar 48000"),
    Encoding("raw.mov", _AV + "-c:v rawvideo -pix_fmt yuyv422 -c:a pcm_s16be"),
    Encoding("mpeg2.mxf", _AV + "-c:v mpeg2video -r 25 -c:a pcm_s16le -ar 48000"),
    # Transport streams, and what is captured from the air.
    Encoding("h264.ts", _FAST + "-c:a aac"),
    Encoding("ac3.ts", _FAST + "-c:a ac3"),
    Encoding("opus.ts", _FAST + "-c:a libopus"),
    Encoding("bluray.m2ts", _FAST + "-c:a ac3 -mpegts_m2ts_mode 1"),
    # Codecs of sound.
    Encoding("mp3.mp4", _FAST + "-c:a libmp3lame"),
    Encoding("mp3.mkv", _FAST + "-c:a libmp3lame"),
    Encoding("ac3.mp4", _FAST + "-c:a ac3"),
    Encoding("eac3.mp4", _FAST + "-c:a eac3"),
    Encoding("alac.mov", _FAST + "-c:a alac"),
    Encoding("flac.mp4", _FAST + "-c:a flac"),
    Encoding("vorbis.mkv", _FAST + "-ac 2 -c:a vorbis"),
    Encoding("dts.mkv", _FAST + "-ar 48000 -c:a dca"),
    Encoding("truehd.mkv", _FAST + "-ar 48000 -ac 2 -c:a truehd"),
    Encoding("wavpack.mkv", _FAST + "-c:a wavpack"),
    Encoding("tta.mkv", _FAST + "-c:a tta"),
    Encoding("float.mkv", _FAST + "-c:a pcm_f32le"),
    Encoding("mulaw.mov", _FAST + "-ar 8000 -c:a pcm_mulaw"),
    Encoding("alaw.avi", _M4V + "-ar 8000 -c:a pcm_alaw"),
    Encoding("ima.mov", _FAST + "-c:a adpcm_ima_qt"),
    Encoding("nellymoser.flv", _AV + "-c:v flv -ar 22050 -c:a nellymoser"),
    # Layouts, rates, tracks.
    Encoding("surround.mp4", "-map 0:v -map 3:a " + X264 + "-c:a aac"),
    Encoding("surround.mkv", "-map 0:v -map 3:a " + X264 + "-c:a ac3"),
    Encoding("surround.webm", "-map 0:v -map 3:a -c:v libvpx -deadline realtime -c:a libopus"),
    Encoding("8khz.mp4", _FAST + "-ar 8000 -c:a aac -b:a 12k"),
    Encoding("96khz.mkv", _FAST + "-ar 96000 -c:a flac"),
    Encoding("stereo.mp4", _FAST + "-ac 2 -c:a aac"),
    Encoding(
        "default-second.mkv",
        "-map 0:v -map 2:a -map 1:a " + X264 + "-c:a aac -disposition:a:0 0 -disposition:a:1 default",
        track=2,
    ),
    Encoding(
        "default-third.mp4",
        "-map 0:v -map 2:a -map 2:a -map 1:a " + X264 + "-c:a aac -disposition:a:0 0 -disposition:a:1 0 "
        "-disposition:a:2 default",
        track=3,
    ),
    Encoding("no-default.mkv", "-map 0:v -map 1:a -map 2:a " + X264 + "-c:a aac -disposition:a 0", track=1),
    Encoding("audio-first.mp4", "-map 1:a -map 0:v " + X264 + "-c:a aac", track=0),
    Encoding("cover.mp4", _AV + "-map 4:v " + X264 + "-c:v:1 copy -c:a aac -disposition:v:1 attached_pic"),
    Encoding("subtitled.mp4", _AV + "-map 5:s " + X264 + "-c:a aac -c:s mov_text"),
    Encoding("subtitled.mkv", _AV + "-map 5:s " + X264 + "-c:a aac -c:s srt"),
    Encoding("timecode.mov", _FAST + "-c:a aac -timecode 01:00:00:00"),
    Encoding("attachment.mkv", _FAST + "-c:a aac -attach cover.jpg -metadata:s:t mimetype=image/jpeg"),
    # Time.
    Encoding("silence.mp4", "-map 0:v -map 2:a " + X264 + "-c:a aac"),
    Encoding("silence.mkv", "-map 0:v -map 2:a " + X264 + "-c:a flac"),
    Encoding("early-end.mp4", _FAST + "-c:a aac -af atrim=end=0.5", 0.5),
    Encoding("early-end.mkv", _FAST + "-c:a aac -af atrim=end=0.5", 0.5),
    Encoding("late.mkv", _FAST + "-c:a aac -af asetpts=PTS+0.6/TB"),
    Encoding("late.ts", _FAST + "-c:a aac -af asetpts=PTS+0.6/TB"),
    Encoding("uneven.mkv", _FAST + "-c:a aac -vf select='not(mod(n,3))' -fps_mode vfr"),
    Encoding("uneven.mp4", _FAST + "-c:a aac -vf select='not(mod(n,3))' -fps_mode vfr"),
    Encoding("offset.ts", _FAST + "-c:a aac -output_ts_offset 95000"),
    Encoding("negative.mkv", _FAST + "-c:a aac -output_ts_offset -0.4 -avoid_negative_ts disabled", 1.0),
    Encoding("negative.mp4", _FAST + "-c:a aac -avoid_negative_ts disabled -use_editlist 0"),
    Encoding("gap.mkv", _FAST + "-c:a aac -af aselect='lt(t,0.4)+gt(t,0.6)'", 0.8),
    # How it was written.
    Encoding("fragmented.mp4", _FAST + "-c:a aac -movflags +frag_keyframe+empty_moov"),
    Encoding("dash.mp4", _FAST + "-c:a aac -movflags +dash+frag_keyframe+empty_moov+default_base_moof"),
    Encoding("hybrid.mp4", _FAST + "-c:a aac -movflags +frag_keyframe+hybrid_fragmented"),
    Encoding("recorder.webm", _VP8 + "-c:a libopus -live 1"),
    Encoding("recorder.mkv", _FAST + "-c:a aac -live 1"),
    Encoding("bare.mp3", "-map 1:a -c:a libmp3lame -write_xing 0 -q:a 5"),
    Encoding("bare.aac", "-map 1:a -c:a aac"),
    Encoding("bare.ogg", "-map 1:a -c:a libopus"),
]
COPIES = [
    Encoding("trimmed.mp4", "-ss 0.35 -i h264.mp4 -c copy", 0.65),
    Encoding("rotated.mp4", "-display_rotation 90 -i h264.mp4 -c copy"),
    Encoding("itsoffset.mp4", "-i h264.mp4 -itsoffset 0.7 -i h264.mp4 -map 0:v -map 1:a -c copy"),
]
PIPED = {
    "pipe.webm": "-i vp8.webm -c copy -f webm",
    "pipe.mkv": "-i h264.mp4 -c copy -f matroska",
    "pipe.flv": "-i h264.flv -c copy -f flv",
    "pipe.ts": "-i h264.ts -c copy -f mpegts",
    "pipe.avi": "-i mpeg4.avi -c copy -f avi",
    "pipe.asf": "-i wmv2.wmv -c copy -f asf",
}
"""As a recorder writes that cannot go back: without duration, sizes or index."""


def absurd_duration(fragmented: bytes) -> bytes:
    data = bytearray(fragmented)
    for kind, offset in ((b"mvhd", 20), (b"mdhd", 20), (b"tkhd", 24)):
        at = -1
        while (at := data.find(kind, at + 1)) >= 0:
            data[at + offset : at + offset + 4] = struct.pack(">I", 3_000_000_000)
    return bytes(data)


def _open_ended(faststart: bytes) -> bytes:
    """The last box reaches to the end of the file."""
    at = faststart.index(b"mdat") - 4
    return faststart[:at] + bytes(4) + faststart[at + 4 :]


REMADE: dict[str, tuple[str, Callable[[bytes], bytes], float]] = {
    "absurd.mp4": ("fragmented.mp4", absurd_duration, 1.0),
    "open-ended.mp4": ("h264.mp4", _open_ended, 1.0),
    "free-space.mp4": ("h264.mp4", lambda data: data + struct.pack(">I4s", 9000, b"free") + bytes(8992), 1.0),
    "stray-bytes.mp4": ("h264.mp4", lambda data: data + b"\0\0\0", 1.0),
    "tuned-in-late.ts": ("h264.ts", lambda data: data[188 * 3 + 0 :], 1.0),
    "mid-packet.ts": ("h264.ts", lambda data: data[100:], 1.0),
    "joined.ts": ("h264.ts", lambda data: data + data, 2.0),
    "null-packets.ts": ("h264.ts", lambda data: data + (b"\x47\x1f\xff\x10" + bytes(184)) * 40, 1.0),
    "tagged.mp3": ("bare.mp3", lambda data: data + b"TAG" + bytes(125), 1.0),
    "stuffed.mpg": ("mpeg1.mpg", lambda data: data + bytes(20), 1.0),
    "dvd-end.mpg": ("mpeg2.mpg", lambda data: data + b"\0\0\1\xb9", 1.0),
}
"""Made from another one's bytes: name, of which, how, and its seconds."""
