"""Object storage: one contract (base), two adapters (local folder, S3)."""
