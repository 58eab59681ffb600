"""ingestctl: run, inspect, verify, retry and clean up video ingest jobs."""

__version__ = "0.1.0"
