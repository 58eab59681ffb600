"""Real services for every suite (see tests/services/), and figures in the test log."""

pytest_plugins = [
    "tests.figures",
    "tests.services.postgres",
    "tests.services.s3",
    "tests.services.source",
]
