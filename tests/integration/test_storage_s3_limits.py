"""S3: a killed writer, flat memory, and what is made late."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from ingestctl.domain.artifact import ObjectRef
from ingestctl.domain.errors import (
    IngestError,
)
from ingestctl.storage.base import PART_SIZE
from ingestctl.storage.s3_session import part_size

if TYPE_CHECKING:
    from tests.services.s3 import S3Server

from tests.integration.test_storage_s3_faults import put, storage_of

MIB = 1024 * 1024


def test_a_killed_writer_leaves_only_an_upload_to_abort(s3_server: S3Server, s3_bucket: str) -> None:
    script = (
        "import sys\n"
        "from ingestctl.domain.artifact import ObjectRef\n"
        "from ingestctl.storage.base import UploadRequest\n"
        "from ingestctl.storage.s3 import S3Storage\n"
        "from ingestctl.storage.s3_client import S3Options\n"
        "endpoint, access, secret, bucket = sys.argv[1:]\n"
        "storage = S3Storage(S3Options(endpoint, access_key=access, secret_key=secret))\n"
        "session = storage.begin(UploadRequest(ObjectRef(bucket, 'k'), 'x/y'))\n"
        "for n in range(1000):\n"
        "    session.append(b'x' * 4_000_000); print(n, flush=True)\n"
    )
    command = [
        sys.executable,
        "-c",
        script,
        s3_server.endpoint,
        s3_server.access,
        s3_server.secret,
        s3_bucket,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as writer:
        assert writer.stdout is not None
        for _ in range(12):
            assert writer.stdout.readline()
        writer.kill()
    storage = storage_of(s3_server)
    ref = ObjectRef(s3_bucket, "k")
    assert storage.stat(ref) is None
    [upload] = storage.unfinished(s3_bucket)
    assert upload.ref == ref
    assert storage.abort(upload)
    assert list(storage.unfinished(s3_bucket)) == []
    assert put(storage, ref).size_bytes == 4


MEASURE = """
import sys
from pathlib import Path
from ingestctl.domain.artifact import ObjectRef
from ingestctl.storage.base import UploadRequest
from ingestctl.storage.local import LocalStorage
from ingestctl.storage.s3 import S3Storage
from ingestctl.storage.s3_client import S3Options
mib, endpoint, access, secret, bucket = int(sys.argv[1]), *sys.argv[2:]
storage = S3Storage(S3Options(endpoint, access_key=access, secret_key=secret))
session = storage.begin(UploadRequest(ObjectRef(bucket, 'big'), 'video/mp4'))
block = bytes(1024 * 1024)
for _ in range(mib):
    session.append(block)
info = session.publish()
with storage.read(info.ref, start=0, length=256 * 1024 * 1024) as chunks:
    assert sum(map(len, chunks)) == 256 * 1024 * 1024
# Not getrusage: its peak is inherited from the process that started this one.
status = Path('/proc/self/status').read_text()
print(info.size_bytes, status.partition('VmHWM:')[2].split()[0])
"""


@pytest.mark.parametrize("mib", [1024, pytest.param(2048, marks=pytest.mark.soak)])
def test_memory_stays_flat(s3_server: S3Server, s3_bucket: str, s3_client: Any, mib: int) -> None:
    command = [sys.executable, "-c", MEASURE, str(mib), s3_server.endpoint, s3_server.access]
    out = subprocess.check_output([*command, s3_server.secret, s3_bucket], timeout=150, text=True)
    s3_client.delete_object(Bucket=s3_bucket, Key="big")
    size, peak_kib = map(int, out.split())
    assert size == mib * MIB
    assert peak_kib < 200 * 1024


def test_parts_grow_so_that_five_tebibytes_fit() -> None:
    base = PART_SIZE
    assert {part_size(base, n) for n in range(1, 1001)} == {base}
    assert sum(part_size(base, n) for n in range(1, 10_001)) >= 5 * 1024**4
    assert part_size(base, 10_000) <= 5 * 1024**3


def test_clients_are_made_late_and_errors_name_no_secret(s3_server: S3Server) -> None:
    script = (
        "import sys\nfrom ingestctl.storage.open import open_storage\n"
        "from ingestctl.storage.s3_client import S3Options\n"
        "open_storage('s3://', s3=S3Options('http://127.0.0.1:1')).close()\n"
        "print([m for m in ('boto3', 'botocore') if m in sys.modules])\n"
    )
    out = subprocess.check_output([sys.executable, "-c", script], text=True, timeout=30)
    assert out.strip() == "[]"
    with pytest.raises(IngestError) as caught:
        storage_of(s3_server, endpoint_url="http://127.0.0.1:1").stat(ObjectRef("bucket", "k"))
    assert "127.0.0.1:1/" not in f"{caught.value} {caught.value.evidence}"
