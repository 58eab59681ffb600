"""The platform's own PostgreSQL schema and rows, as ingestctl finds them in production."""

from __future__ import annotations

import psycopg

SCHEMA = """
CREATE FUNCTION touch_updated_at() RETURNS trigger LANGUAGE plpgsql AS
  $$ BEGIN NEW.updated_at = now(); RETURN NEW; END $$;

CREATE TABLE videos (
  id TEXT PRIMARY KEY, tenant_id TEXT, org_id TEXT, user_id TEXT,
  source_type TEXT NOT NULL CHECK (btrim(source_type) <> ''),
  source_uri TEXT NOT NULL CHECK (btrim(source_uri) <> ''),
  title TEXT, channel TEXT, language TEXT,
  duration_ms INTEGER CHECK (duration_ms IS NULL OR duration_ms >= 0),
  published_at TIMESTAMPTZ, storage_bucket TEXT, storage_key TEXT, storage_ref JSONB,
  metadata JSONB NOT NULL DEFAULT '{}'::jsonb,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(), updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  CONSTRAINT videos_source_unique UNIQUE (source_type, source_uri));
CREATE TABLE jobs (
  id TEXT PRIMARY KEY, video_id TEXT NOT NULL REFERENCES videos(id) ON DELETE CASCADE,
  type TEXT NOT NULL, status TEXT NOT NULL, payload JSONB, idempotency_key TEXT,
  queued_at TIMESTAMPTZ NOT NULL DEFAULT now(), started_at TIMESTAMPTZ, finished_at TIMESTAMPTZ,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(), updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  transcript_id TEXT, segment_id TEXT, layer_id TEXT, tenant_id TEXT);
CREATE UNIQUE INDEX jobs_idempotency_key_idx ON jobs (idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE TABLE job_runs (
  id TEXT PRIMARY KEY, job_id TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE,
  attempt INTEGER NOT NULL CHECK (attempt >= 1), status TEXT NOT NULL,
  started_at TIMESTAMPTZ, finished_at TIMESTAMPTZ,
  error_code TEXT, error_message TEXT, error_correlation_id TEXT, error_details JSONB,
  metadata JSONB NOT NULL DEFAULT '{}'::jsonb,
  created_at TIMESTAMPTZ NOT NULL DEFAULT now(), updated_at TIMESTAMPTZ NOT NULL DEFAULT now(),
  UNIQUE (job_id, attempt));
CREATE TABLE job_events (
  id TEXT PRIMARY KEY, job_id TEXT NOT NULL REFERENCES jobs(id) ON DELETE CASCADE,
  run_id TEXT REFERENCES job_runs(id) ON DELETE CASCADE, event_type TEXT NOT NULL,
  payload JSONB NOT NULL DEFAULT '{}'::jsonb, created_at TIMESTAMPTZ NOT NULL DEFAULT now());
CREATE TABLE transcripts (
  id TEXT PRIMARY KEY, video_id TEXT NOT NULL REFERENCES videos(id) ON DELETE CASCADE, body TEXT);
CREATE TRIGGER videos_touch BEFORE UPDATE ON videos FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER jobs_touch BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
CREATE TRIGGER job_runs_touch BEFORE UPDATE ON job_runs FOR EACH ROW EXECUTE FUNCTION touch_updated_at();
"""

ROWS = """
INSERT INTO videos (id, source_type, source_uri, title, metadata) VALUES
  ('plat-v1', 'youtube', 'https://www.youtube.com/watch?v=plat1', 'Known title', '{"api": 1}'),
  ('plat-v2', 'external_url', 'https://media.example/two.mp4', NULL, '{}'),
  ('plat-v3', 'upload', 'incoming/three.mp4', NULL, '{}'),
  ('plat-v4', 'external_url', 'https://media.example/four.mp4', NULL, '[1, 2]'),
  ('plat-v5', 'external_url', 'https://media.example/five.mp4', NULL, '{}'),
  ('plat-v6', 'external_url', 'https://media.example/six.mp4', NULL, '{}');
INSERT INTO jobs (id, video_id, type, status, payload, queued_at, updated_at)
  SELECT id, video_id, type, status, payload::jsonb, now() - age::interval, now() - age::interval FROM (VALUES
    ('plat-pending', 'plat-v1', 'ingest', 'pending', NULL, '9 days'),
    ('plat-completed', 'plat-v2', 'ingest', 'completed', '{}', '8 days'),
    ('plat-text', 'plat-v3', 'ingest', 'failed', '"a text"', '7 days'),
    ('plat-list', 'plat-v4', 'ingest', 'failed', '[1, 2]', '6 days'),
    ('plat-legacy', 'plat-v5', 'ingest', 'running', '{}', '5 days'),
    ('plat-odd', 'plat-v6', 'ingest', 'paused', NULL, '4 days'),
    ('plat-transcribe', 'plat-v1', 'transcribe', 'queued', NULL, '9 days'),
    ('plat-diarize', 'plat-v2', 'diarize', 'running', '{"x": 1}', '0 days'),
    ('plat-index', 'plat-v3', 'index', 'failed', '{}', '0 days')
  ) AS row (id, video_id, type, status, payload, age);
INSERT INTO job_runs (id, job_id, attempt, status, started_at, created_at, updated_at) VALUES
  ('plat-run-1', 'plat-legacy', 1, 'running', now() - interval '5 days', now() - interval '5 days',
   now() - interval '5 days'),
  ('plat-run-2', 'plat-diarize', 1, 'running', now(), now(), now());
INSERT INTO job_runs (id, job_id, attempt, status, error_code) VALUES
  ('plat-run-3', 'plat-text', 1, 'failed', 'download_blocked');
INSERT INTO job_events (id, job_id, run_id, event_type) VALUES
  ('plat-event-1', 'plat-legacy', 'plat-run-1', 'ingestion.job.created');
INSERT INTO transcripts VALUES ('plat-t1', 'plat-v2', 'words');
"""


def create_platform(url: str) -> None:
    """Create the platform's tables and rows in the empty database at ``url`` (SQLAlchemy form)."""
    with psycopg.connect(url.replace("postgresql+psycopg://", "postgresql://")) as connection:
        connection.execute(SCHEMA)
        connection.execute(ROWS)
