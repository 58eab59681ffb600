"""THE ingest pipeline: acquire, extract, store, commit. Everything that ingests goes through it.

Read :mod:`ingestctl.pipeline.run` first; it is the story. Beside it: who owns the
job (``ownership``), what is already there (``evidence``), how bytes go up
(``upload``), where they lie meanwhile (``scratch``), what a run is given and
gives back (``model``).
"""

from ingestctl.pipeline.model import Observer, Options, Outcome, RunResult, StoredArtifact
from ingestctl.pipeline.run import Pipeline

__all__ = ["Observer", "Options", "Outcome", "Pipeline", "RunResult", "StoredArtifact"]
