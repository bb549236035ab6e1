"""The ground: partitioned by time, keyed so that `organization_id` could distribute it. No DEFAULT partition."""

from django.db import migrations

REQUEST = """
CREATE TABLE llm_request (
    organization_id bigint NOT NULL, requested_at timestamptz NOT NULL, id uuid NOT NULL,
    client_request_id text, kind text NOT NULL, door text NOT NULL, provider text NOT NULL,
    model text, request_model text, response_model text,
    status smallint NOT NULL, error_type text, error_message text, finish_reason text,
    is_stream boolean NOT NULL, cached boolean NOT NULL, duration_ms integer, time_to_first_token_ms integer,
    input_tokens integer, output_tokens integer, cache_read_tokens integer, cache_write_tokens integer,
    cache_write_1h_tokens integer, reasoning_tokens integer, input_audio_tokens integer,
    output_audio_tokens integer, web_searches integer, usage jsonb,
    cost_nano_usd bigint, cost_reason text NOT NULL, price_id bigint,
    end_user_id text, session_id text, session_path text, session_name text,
    properties jsonb NOT NULL, scores jsonb, prompt_id text, prompt_version text,
    api_key_id bigint, country_code text, threat boolean,
    method text NOT NULL, target_url text NOT NULL, dialect text NOT NULL,
    provider_response_id text, service_tier text,
    trace_id text, span_id text, parent_span_id text, name text,
    request_preview text NOT NULL, response_preview text NOT NULL, tool_calls text[] NOT NULL,
    request_bytes integer NOT NULL, response_bytes integer NOT NULL,
    request_state text NOT NULL, response_state text NOT NULL, problems text[] NOT NULL, amended jsonb,
    PRIMARY KEY (organization_id, requested_at, id)
) PARTITION BY RANGE (requested_at);
CREATE INDEX llm_request_id ON llm_request (organization_id, id);
CREATE INDEX llm_request_model ON llm_request (organization_id, model, requested_at);
CREATE INDEX llm_request_end_user ON llm_request (organization_id, end_user_id, requested_at)
    WHERE end_user_id IS NOT NULL;
CREATE INDEX llm_request_session ON llm_request (organization_id, session_id, requested_at)
    WHERE session_id IS NOT NULL;
CREATE INDEX llm_request_trace ON llm_request (organization_id, trace_id) WHERE trace_id IS NOT NULL;
CREATE INDEX llm_request_failed ON llm_request (organization_id, requested_at) WHERE status NOT BETWEEN 200 AND 399;
CREATE INDEX llm_request_properties ON llm_request USING gin (properties jsonb_path_ops);
"""

BODY = """
CREATE TABLE llm_request_body (
    organization_id bigint NOT NULL, requested_at timestamptz NOT NULL, id uuid NOT NULL,
    dict_version integer NOT NULL DEFAULT 0, key_version integer NOT NULL DEFAULT 0,
    request bytea, response bytea, response_raw bytea, headers bytea,
    request_type text NOT NULL DEFAULT '', response_type text NOT NULL DEFAULT '',
    PRIMARY KEY (organization_id, requested_at, id)
) PARTITION BY RANGE (requested_at);
ALTER TABLE llm_request_body ALTER request SET STORAGE EXTERNAL, ALTER response SET STORAGE EXTERNAL,
    ALTER response_raw SET STORAGE EXTERNAL, ALTER headers SET STORAGE EXTERNAL;
"""


class Migration(migrations.Migration):
    dependencies = [("requests_app", "0001_initial")]
    operations = [
        migrations.RunSQL(REQUEST, "DROP TABLE llm_request"),
        migrations.RunSQL(BODY, "DROP TABLE llm_request_body"),
    ]
