"""The storage suites share one fixture: every store in turn."""

from tests.contracts.storage_world import case

__all__ = ["case"]
