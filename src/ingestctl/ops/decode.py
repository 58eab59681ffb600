"""Level ``decode``: do both objects play, and is the audio this video's audio."""

from __future__ import annotations

import re
import wave
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Protocol

from ingestctl.domain.artifact import Verdict
from ingestctl.domain.errors import AudioExtractionFailed, IngestError, NoAudioStream, NotMedia
from ingestctl.media.base import MediaTool
from ingestctl.ops.listening import SAME_LENGTH_S, SAME_SOUND, similarity
from ingestctl.ops.look import Look, could_not
from ingestctl.pipeline.upload import sha256_of

if TYPE_CHECKING:
    from pathlib import Path

    from ingestctl.domain.stop import Stop
    from ingestctl.media.base import Probe

_CUT = re.compile(r"\d+ bytes of \d+ declared")


class Decoded(Protocol):
    """How a full decode went; ``unknown`` where it could not be run."""

    @property
    def state(self) -> Literal["ok", "bad", "unknown"]:
        """``bad`` only where the file itself is at fault."""
        ...

    @property
    def evidence(self) -> str | None:
        """The line that decided."""
        ...


class MediaCheck(MediaTool, Protocol):
    """A media tool that can decode a whole file."""

    def check_decodes(self, path: Path, stop: Stop) -> Decoded:
        """Decode every stream. Raises only what ``stop`` was asked with."""
        ...


class Decoder:
    """Judges the two files that were read into ``folder`` (named ``video`` and ``audio``)."""

    def __init__(self, media: MediaCheck, folder: Path, stop: Stop) -> None:
        self._media = media
        self._folder = folder
        self._stop = stop

    def judge(self, video: Look, audio: Look, *, compare_audio: bool) -> tuple[Look, Look]:
        """Verdicts of both. The audio is measured against the video where that is sound."""
        video, film = self._plays(video)
        audio, sound = self._plays(audio)
        if sound is not None:
            audio = _format(audio, sound)
        if audio.open and sound is not None and film is not None and video.open:
            audio = self._fits(video, film, audio, sound, compare_audio)
        elif audio.open and compare_audio:
            audio = audio.found(Verdict.UNKNOWN, "there is no sound video to compare it with")
        return _settle(video, audio), _settle(audio, video)

    def _plays(self, look: Look) -> tuple[Look, Probe | None]:
        if not look.open or look.sha256 is None:
            return look, None
        path = self._folder / look.kind
        try:
            decoded = self._media.check_decodes(path, self._stop)
            if decoded.state == "bad":
                evidence = decoded.evidence or "it does not decode"
                cut = _CUT.search(evidence) is not None
                return look.found(Verdict.PARTIAL if cut else Verdict.CORRUPT, _bad(look, evidence)), None
            if decoded.state == "unknown":
                return look.found(Verdict.UNKNOWN, f"could not be decoded: {decoded.evidence}"), None
            return look, self._media.probe(path, self._stop)
        except (IngestError, OSError) as error:
            self._stop.check()
            return look.found(Verdict.UNKNOWN, could_not("be decoded", error)), None

    def _fits(self, video: Look, film: Probe, audio: Look, sound: Probe, compare: bool) -> Look:
        """A container's claim may be wrong, so a difference in length is settled by a fresh extraction."""
        claimed = film.audio.duration_s if film.audio else None
        length = sound.audio.duration_s if sound.audio else None
        if film.audio is None:
            return audio.found(Verdict.CORRUPT, "the stored video has no audio track that it could be from")
        near = claimed is not None and length is not None and abs(claimed - length) <= SAME_LENGTH_S
        if near and not compare and audio.expected is not None:
            words = f"decodes, WAV 16 kHz mono, {length:.2f} s beside the video's {claimed:.2f} s"
            return audio.found(Verdict.INTACT, f"{audio.evidence}; {words}", open=True)
        audio = self._compare(video, film, audio)
        ours = video.named or video.expected is not None
        # What a run would make of our own video is ours, whoever put it there.
        return replace(audio, named=True) if audio.verdict is Verdict.INTACT and ours else audio

    def _compare(self, video: Look, film: Probe, audio: Look) -> Look:
        fresh = self._folder / "fresh"
        try:
            fresh.mkdir()
            track = self._media.extract_audio(self._folder / video.kind, film, fresh, self._stop)
            if sha256_of(track.path, self._stop.check) == audio.sha256:
                return audio.found(
                    Verdict.INTACT,
                    "the same bytes as the audio extracted afresh from the stored video",
                    open=True,
                )
            stored = self._folder / audio.kind
            away = abs(track.path.stat().st_size - stored.stat().st_size) / 32_000
            if away > SAME_LENGTH_S:
                return audio.found(
                    Verdict.CORRUPT, f"its length is {away:.2f} s away from the stored video's own audio"
                )
            alike = similarity(track.path, stored)
        except (NoAudioStream, NotMedia) as error:
            return audio.found(Verdict.CORRUPT, f"the stored video gives no audio: {error.message}")
        except AudioExtractionFailed as error:
            return audio.found(Verdict.UNKNOWN, could_not("be compared with the stored video", error))
        except (IngestError, OSError, wave.Error, EOFError) as error:
            self._stop.check()
            return audio.found(Verdict.UNKNOWN, could_not("be compared with the stored video", error))
        if alike >= SAME_SOUND:
            words = f"correlates {alike:.3f} with the audio extracted afresh from the stored video"
            return audio.found(Verdict.INTACT, words, open=True)
        return audio.found(
            Verdict.CORRUPT,
            f"not this video's audio: it correlates {alike:.3f} with a fresh extraction "
            f"(at least {SAME_SOUND} is the same sound)",
        )


def _bad(look: Look, evidence: str) -> str:
    stored_so = look.expected is not None
    return f"does not decode whole: {evidence}" + ("; it was stored so" if stored_so else "")


def _format(audio: Look, sound: Probe) -> Look:
    stream = sound.audio
    is_wav = sound.format_name == "wav"
    if stream and is_wav and (stream.codec, stream.sample_rate, stream.channels) == ("pcm_s16le", 16_000, 1):
        return audio
    what = (
        f"{sound.format_name} {stream.codec} {stream.sample_rate} Hz, {stream.channels} channel(s)"
        if stream
        else (f"{sound.format_name} without an audio stream")
    )
    return audio.found(Verdict.CORRUPT, f"it is {what}; the transcriber reads WAV PCM s16le 16 kHz mono")


def _settle(look: Look, other: Look) -> Look:
    """The last word: what is on record is intact; what is not must be named as this video's and fit."""
    if not look.open:
        return look
    if look.expected is not None:
        if "decodes" in look.evidence or "afresh" in look.evidence:
            return look
        return look.found(Verdict.INTACT, f"{look.evidence}; decodes whole")
    if not look.named:
        return look.found(
            Verdict.FOREIGN, "it decodes, and neither its metadata nor a record says that it is this video's"
        )
    beside = "and fits the other object" if other.open else "with no sound object beside it to compare with"
    how = look.evidence if "afresh" in look.evidence else "it names this video"
    return look.found(Verdict.INTACT, f"not on record, but {how}, decodes whole {beside}")
