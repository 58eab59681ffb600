"""Real services for every suite: see tests/services/."""

pytest_plugins = ["tests.services.postgres", "tests.services.s3", "tests.services.source"]
