"""The runbook in code: jobs, artifacts, sources, causes. Pure standard library."""
