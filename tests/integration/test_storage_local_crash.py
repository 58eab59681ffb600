"""A writer killed between any two system calls leaves nothing, or the whole object, or an upload to abort."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.errors import BucketMissing, Conflict, ObjectChanged, StorageUnavailable
from ingestctl.storage import local
from ingestctl.storage.base import UploadRequest
from ingestctl.storage.local import LocalStorage

if TYPE_CHECKING:
    from ingestctl.storage.base import ObjectInfo

REF = ObjectRef("bucket", "videos/v1/source.mp4")
DATA = b"whole" * 1000

# Kills itself with SIGKILL at the n-th of the system calls that change the folder. One child per n.
DRIVER = """
import os, signal, sys
from pathlib import Path
from ingestctl.domain.artifact import ObjectRef
from ingestctl.storage.base import UploadRequest
from ingestctl.storage.local import LocalStorage

CHANGING = ["mkdir", "write", "fsync", "utime", "link", "rename", "unlink", "rmdir"]
action, base = sys.argv[1], Path(sys.argv[2])

def work(root, fatal):
    calls = 0
    def counted(real):
        def call(*args, **kwargs):
            nonlocal calls
            calls += 1
            if calls == fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            return real(*args, **kwargs)
        return call
    storage = LocalStorage(root)
    storage.ensure_bucket("bucket")
    ref = ObjectRef("bucket", "videos/v1/source.mp4")
    def put():
        session = storage.begin(UploadRequest(ref, "video/mp4", {"run-id": "r1"}))
        session.append(b"whole" * 1000)
        return session.publish()
    if action == "delete":
        info = put()
    for name in CHANGING:
        setattr(os, name, counted(getattr(os, name)))
    storage.delete(ref, if_match=info.etag) if action == "delete" else put()

for fatal in range(1, 200):
    root = base / f"{fatal:03d}"
    root.mkdir()
    child = os.fork()
    if child == 0:
        work(root, fatal)
        os._exit(0)
    if os.waitpid(child, 0)[1] == 0:
        break
else:
    sys.exit("never finished")
"""


@pytest.mark.parametrize("action", ["publish", "delete"])
def test_killed_between_any_two_steps(action: str, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-c", DRIVER, action, str(tmp_path)], check=True, timeout=60)
    roots = sorted(tmp_path.iterdir())
    assert len(roots) > 10, "the writer was killed at every step, and then let finish"
    outcomes = set()
    for root in roots:
        storage = LocalStorage(root)
        info = storage.stat(REF)
        outcomes.add(info is not None)
        _is_whole(storage, info)
        for upload in list(storage.unfinished("bucket")):
            assert storage.abort(upload)
        assert list(storage.unfinished("bucket")) == []
        assert storage.stat(REF) == info, "aborting what is left does not touch the object"
        _is_whole(storage, info)
        if info is None:
            session = storage.begin(UploadRequest(REF, "video/mp4", {"run-id": "r1"}))
            session.append(DATA)
            info = session.publish()
        assert _files(root / ".uploads") == []
        assert storage.delete(REF, if_match=info.etag), "the next run converges"
        assert len(_files(root / ".meta")) <= 1, "at most the record of the killed writer is left"
    assert outcomes == {True, False}


def test_everything_is_synced_before_it_is_relied_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Data and record before the link that makes them an object, and every name after it was given."""
    storage = LocalStorage(tmp_path)
    storage.ensure_bucket("bucket")
    calls: list[str] = []

    def watched(name: str) -> None:
        real = getattr(os, name)

        def call(*args: Any, **kwargs: Any) -> Any:
            where = args[0] if name == "fsync" else kwargs.get("dst_dir_fd", kwargs.get("dir_fd"))
            path = Path(os.readlink(f"/proc/self/fd/{where}")).relative_to(tmp_path.resolve())
            calls.append(f"{name} {path}")
            return real(*args, **kwargs)

        monkeypatch.setattr(os, name, call)

    for name in ("fsync", "link", "mkdir"):
        watched(name)
    session = storage.begin(UploadRequest(REF, "video/mp4"))
    session.append(DATA)
    info = session.publish()
    folder, upload = "bucket/videos/v1", f".uploads/bucket/{session.upload_id}"
    link = calls.index(f"link {folder}")
    assert {f"fsync {upload}/data", "fsync .meta/bucket", f"fsync .meta/bucket/{info.etag}.json"} <= set(
        calls[:link]
    )
    assert calls[link + 1] == f"fsync {folder}"
    made = [n for n, call in enumerate(calls) if call.startswith("mkdir ")]
    assert len(made) >= 5
    assert all(calls[n + 1] == calls[n].replace("mkdir", "fsync") for n in made)


def test_an_object_replaced_during_its_removal_is_put_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After it was looked at, and before it is set aside."""
    storage = LocalStorage(tmp_path)
    storage.ensure_bucket("bucket")
    session = storage.begin(UploadRequest(REF, "video/mp4"))
    session.append(DATA)
    info = session.publish()
    real = local.open_upload

    def replaced(*args: Any) -> int:
        (tmp_path / "bucket" / REF.key).write_bytes(b"somebody else's")
        return real(*args)

    monkeypatch.setattr(local, "open_upload", replaced)
    with pytest.raises(ObjectChanged):
        storage.delete(REF, if_match=info.etag)
    assert (tmp_path / "bucket" / REF.key).read_bytes() == b"somebody else's"


def _is_whole(storage: LocalStorage, info: ObjectInfo | None) -> None:
    if info is not None:
        assert (info.content_type, info.metadata) == ("video/mp4", {"run-id": "r1"})
        with storage.read(REF, if_match=info.etag) as chunks:
            assert b"".join(chunks) == DATA


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    made = LocalStorage(tmp_path / "root")
    made.ensure_bucket("bucket")
    return made


def _put(storage: LocalStorage, ref: ObjectRef = REF, data: bytes = DATA) -> ObjectInfo:
    session = storage.begin(UploadRequest(ref, "video/mp4"))
    session.append(data)
    return session.publish()


def _path(storage: LocalStorage, ref: ObjectRef = REF) -> Path:
    return storage._tree.root / ref.bucket / ref.key


def test_links_out_of_the_root_are_never_followed(storage: LocalStorage, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"secret")
    bucket = _path(storage).parents[2]
    (bucket / "folder").symlink_to(outside)
    (bucket / "file").symlink_to(outside / "secret")
    for key in ("folder/secret", "folder/new", "file"):
        ref = ObjectRef("bucket", key)
        with pytest.raises(Conflict):
            _put(storage, ref)
    assert storage.stat(ObjectRef("bucket", "folder/secret")) is None
    with pytest.raises(Conflict):
        storage.stat(ObjectRef("bucket", "file"))
    assert list(storage.list_objects("bucket")) == []
    assert [p.name for p in outside.iterdir()] == ["secret"]
    (storage._tree.root / "linked").symlink_to(outside)
    with pytest.raises(BucketMissing):
        storage.stat(ObjectRef("linked", "secret"))


def test_every_change_by_hand_changes_the_etag(storage: LocalStorage) -> None:
    info = _put(storage)
    path = _path(storage)
    with path.open("r+b") as file:
        file.write(b"W")  # same size, one byte
    changed = storage.stat(REF)
    assert changed is not None
    assert changed.etag != info.etag
    with pytest.raises(ObjectChanged):
        storage.delete(REF, if_match=info.etag)
    copy = path.with_name("copy")
    copy.write_bytes(DATA)
    times = path.stat()
    os.utime(copy, ns=(times.st_mtime_ns, times.st_mtime_ns))
    copy.replace(path)
    replaced = storage.stat(REF)
    assert replaced is not None
    assert replaced.etag not in (info.etag, changed.etag)
    assert path.read_bytes() == DATA


def test_a_file_cut_while_being_read_is_an_error(storage: LocalStorage) -> None:
    _put(storage, data=b"x" * 3_000_000)
    with storage.read(REF) as chunks:
        next(chunks)
        os.truncate(_path(storage), 1_500_000)
        with pytest.raises(StorageUnavailable, match="early"):
            list(chunks)


def test_a_full_disk_is_said_and_leaves_nothing(storage: LocalStorage, tmp_path: Path) -> None:
    # A file size limit stands in for a full disk where nothing can be mounted.
    script = (
        "import resource, signal, sys\n"
        "from pathlib import Path\n"
        "from ingestctl.domain.artifact import ObjectRef\n"
        "from ingestctl.domain.errors import StorageFull\n"
        "from ingestctl.storage.base import UploadRequest\n"
        "from ingestctl.storage.local import LocalStorage\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))\n"
        "session = LocalStorage(Path(sys.argv[1])).begin(UploadRequest(ObjectRef('bucket', 'k'), 'x/y'))\n"
        "try:\n    session.append(b'x' * 200_000)\n"
        "except StorageFull as error:\n    session.abort(); print(error.evidence)\n"
    )
    root = storage._tree.root
    run = subprocess.run(
        [sys.executable, "-c", script, str(root)], capture_output=True, text=True, timeout=30, check=True
    )
    assert run.stdout.startswith("EFBIG"), run.stderr
    assert list(storage.unfinished("bucket")) == []
    assert storage.stat(ObjectRef("bucket", "k")) is None


def test_a_refusing_folder_is_said() -> None:
    script = (
        "import os, sys\n"
        "from pathlib import Path\n"
        "from ingestctl.domain.artifact import ObjectRef\n"
        "from ingestctl.domain.errors import StorageRefused\n"
        "from ingestctl.storage.base import UploadRequest\n"
        "from ingestctl.storage.local import LocalStorage\n"
        "if os.getuid() == 0:\n    os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
        "try:\n    LocalStorage(Path(sys.argv[1])).begin(UploadRequest(ObjectRef('bucket', 'k'), 'x/y'))\n"
        "except StorageRefused as error:\n    print(error.evidence)\n"
    )
    with tempfile.TemporaryDirectory() as base:  # pytest's own folder is closed to other users
        root = Path(base) / "root"
        LocalStorage(root).ensure_bucket("bucket")
        Path(base).chmod(0o755)
        root.chmod(0o555)
        command = [sys.executable, "-c", script, str(root)]
        run = subprocess.run(command, check=True, capture_output=True, text=True, timeout=30)
    assert run.stdout.startswith("EACCES"), run.stderr


def test_without_hard_links_publishing_is_still_create_once(
    storage: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    info = _put(storage)
    with pytest.raises(Conflict):
        _put(storage, data=b"other")
    found = storage.stat(REF)
    assert found == info
    assert _path(storage).read_bytes() == DATA
    assert list(storage.unfinished("bucket")) == []
