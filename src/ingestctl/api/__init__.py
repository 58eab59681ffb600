"""The platform's HTTP API, as a client sees it."""
