"""One file per command: parse options, call one use case, show its result."""
