"""One use case per command: takes services, returns a frozen result, prints nothing."""
