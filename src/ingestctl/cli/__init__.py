"""The terminal: options in, tables and JSON out, exit codes. The only package that prints."""
