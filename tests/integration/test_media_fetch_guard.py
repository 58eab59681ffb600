from __future__ import annotations

import shutil
import subprocess
import sys
import textwrap
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from ingestctl.domain.errors import (
    NotMedia,
    SourceFailed,
    SourceRefused,
)
from ingestctl.media.tools import find_tools
from tests.media_fetching import fetch

if TYPE_CHECKING:
    from tests.media_samples import Samples
    from tests.services.source import SourceServer

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("begin", ["", "@2"])
def test_a_redirect_into_a_network_that_is_not_allowed_never_arrives(
    source_server: SourceServer, samples: Samples, tmp_path: Path, begin: str
) -> None:
    samples.mp4()
    with pytest.raises(SourceRefused, match=r"127\.0\.0\.2"):
        fetch(source_server.url("v.mp4", fault=f"redirect=127.0.0.2{begin}"), tmp_path)
    assert not [path for _, path, _ in source_server.requests if path == "/files/v.mp4"]


def test_a_playlist_entry_in_a_network_that_is_not_allowed_is_refused(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    text = samples.hls().read_text()
    there = source_server.url("hls/s01.ts", host="127.0.0.2")
    (source_server.root / "hls" / "evil.m3u8").write_text(text.replace("s01.ts", there))
    with pytest.raises(SourceRefused, match=r"127\.0\.0\.2"):
        fetch(source_server.url("hls/evil.m3u8"), tmp_path)
    assert source_server.count("s01.ts") == 0


def test_without_allowed_networks_loopback_is_refused_before_any_request(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    samples.mp4()
    with pytest.raises(SourceRefused) as caught:
        fetch(source_server.url("v.mp4"), tmp_path, allow_networks=[])
    assert "INGESTCTL_SOURCE_ALLOW_NETWORKS" in caught.value.hint
    with pytest.raises(SourceRefused):
        fetch(source_server.url("v.mp4", host="localhost"), tmp_path, allow_networks=[])
    assert source_server.count() == 0


REBIND = """
import ipaddress, socket, sys
from pathlib import Path
from ingestctl.domain.errors import SourceRefused
from ingestctl.domain.source import Source, SourceKind
from ingestctl.domain.stop import Stop
from ingestctl.media.fetch import YtDlpFetcher
from ingestctl.media.tools import find_tools
answers = iter(["127.0.0.1", "127.0.0.2"] * 9)
real = socket.getaddrinfo
def rebinding(host, *args, **kwargs):
    return real(next(answers) if host == "rebind.example" else host, *args, **kwargs)
socket.getaddrinfo = rebinding
class Quiet:
    def growing(self, *a): pass
    progress = growing
fetcher = YtDlpFetcher(find_tools, allow_networks=[ipaddress.ip_network("127.0.0.1/32")])
try:
    fetcher.fetch(Source(SourceKind.EXTERNAL_URL, sys.argv[1]), Path(sys.argv[2]), Quiet(), Stop())
except SourceRefused as error:
    print("refused", error)
"""


def test_a_name_that_changes_its_address_is_judged_at_each_connect(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    samples.mp4()
    # The server hangs up after the first answer, so that the download must connect anew.
    url = source_server.url("v.mp4", fault="trunc", host="rebind.example")
    done = subprocess.run(
        [sys.executable, "-c", REBIND, url, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout.startswith("refused"), done.stdout + done.stderr
    assert source_server.count() == 1


def test_the_environments_proxy_is_not_used(
    source_server: SourceServer, samples: Samples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples.mp4()
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    assert fetch(source_server.url("v.mp4"), tmp_path).path.exists()


MERGE = """
import sys, ipaddress
sys.path.insert(0, {root!r})
from pathlib import Path
from ingestctl.domain.source import Source, SourceKind
from ingestctl.domain.stop import Stop
from ingestctl.media.fetch import YtDlpFetcher
from ingestctl.media.tools import Tools
class Quiet:
    def growing(self, *a): pass
    progress = growing
fetcher = YtDlpFetcher(lambda: Tools(Path({ffmpeg!r}), Path({ffprobe!r}), "test"),
                       allow_networks=[ipaddress.ip_network("127.0.0.1/32")])
fetcher.fetch(Source(SourceKind.EXTERNAL_URL, {url!r}), Path({into!r}), Quiet(), Stop())
"""


def test_the_ffmpeg_that_merges_dies_with_its_parent(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    samples.dash()
    tools = find_tools()
    slow = tmp_path / "slow-ffmpeg"
    # Like ffmpeg, but never done merging.
    slow.write_text(
        "#!/bin/sh\n"
        f'case "$*" in *-map*) echo "$@" > {tmp_path}/argv; echo $$ > {tmp_path}/pid; exec sleep 60;; esac\n'
        f'exec {tools.ffmpeg} "$@"\n'
    )
    slow.chmod(0o755)
    script = MERGE.format(
        root=str(ROOT),
        ffmpeg=str(slow),
        ffprobe=str(tools.ffprobe),
        url=source_server.url("dash/m.mpd"),
        into=str(tmp_path),
    )
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script)])
    pid_file = tmp_path / "pid"
    until = time.monotonic() + 20
    while not (pid_file.exists() and pid_file.read_text()) and time.monotonic() < until:
        time.sleep(0.02)
    pid = int(pid_file.read_text())
    parent.kill()
    parent.wait()
    until = time.monotonic() + 3
    while Path(f"/proc/{pid}").exists() and time.monotonic() < until:
        time.sleep(0.02)
    assert not Path(f"/proc/{pid}").exists()
    assert "-protocol_whitelist file -format_whitelist mov," in (tmp_path / "argv").read_text()


def test_segments_that_pretend_to_be_a_playlist_open_nothing(
    source_server: SourceServer, samples: Samples, tmp_path: Path
) -> None:
    folder = source_server.root / "trick"
    folder.mkdir(exist_ok=True)
    shutil.copy(samples.mp4(), folder / "hidden.mp4")
    hidden = source_server.url("trick/hidden.mp4")
    (folder / "seg.ts").write_text(
        f"#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n{hidden}\n#EXT-X-ENDLIST\n"
    )
    (folder / "m.m3u8").write_text(
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:4,\nseg.ts\n#EXT-X-ENDLIST\n"
    )
    with pytest.raises((SourceFailed, NotMedia)):
        fetch(source_server.url("trick/m.m3u8"), tmp_path)
    assert source_server.count("hidden") == 0
