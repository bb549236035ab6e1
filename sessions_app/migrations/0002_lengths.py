"""Sessions keep the lengths of their calls and when the last of them began; every order of the list has an index."""

from django.db import migrations, models

from metrics_app import histogram

BATCH = 2_000
INDEXES = """
CREATE INDEX session_longest ON session
    (organization_id, ((extract(epoch FROM last_at - first_at) * 1000000)::bigint), session_id);
"""
_NEXT = """
SELECT organization_id, session_id, first_at, last_at FROM session
WHERE (organization_id, session_id) > (%s, %s) ORDER BY 1, 2 LIMIT %s
"""
_LENGTHS = """
SELECT w.o, w.s, array_agg(r.duration_ms) FILTER (WHERE r.duration_ms IS NOT NULL
    AND r.kind IN ('llm', 'embedding', 'image', 'audio', 'moderation', 'rerank')), max(r.requested_at)
FROM unnest(%s::bigint[], %s::text[], %s::timestamptz[], %s::timestamptz[]) AS w (o, s, low, high)
JOIN llm_request r ON r.organization_id = w.o AND r.session_id = w.s AND r.requested_at BETWEEN w.low AND w.high
GROUP BY 1, 2
"""
_SET = """
UPDATE session SET duration_hist = w.h, last_begun_at = w.l
FROM unnest(%s::bigint[], %s::text[], %s::bytea[], %s::timestamptz[]) AS w (o, s, h, l)
WHERE organization_id = w.o AND session_id = w.s
"""


def count_lengths(apps, schema_editor):
    """Of the sessions there are, from the requests still there."""
    at = (0, "")
    with schema_editor.connection.cursor() as cursor:
        while True:
            cursor.execute(_NEXT, [*at, BATCH])
            sessions = cursor.fetchall()
            if not sessions:
                return
            at = sessions[-1][:2]
            cursor.execute(_LENGTHS, [list(column) for column in zip(*sessions, strict=True)])
            counted = [(*key, histogram.encode(lengths or ()), last) for *key, lengths, last in cursor.fetchall()]
            if counted:
                cursor.execute(_SET, [list(column) for column in zip(*counted, strict=True)])


def index(name, *columns):
    return migrations.AddIndex("session", models.Index(fields=["organization_id", *columns, "session_id"], name=name))


class Migration(migrations.Migration):
    dependencies = [("sessions_app", "0001_initial"), ("requests_app", "0002_ground")]
    operations = [
        migrations.RemoveIndex("session", "session_newest"),
        migrations.RemoveIndex("session", "session_costliest"),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(
                    "ALTER TABLE session ADD COLUMN duration_hist bytea NOT NULL DEFAULT '', "
                    "ADD COLUMN last_begun_at timestamptz",
                    "ALTER TABLE session DROP COLUMN duration_hist, DROP COLUMN last_begun_at",
                )
            ],
            state_operations=[
                migrations.AddField(
                    "session", "duration_hist",
                    models.BinaryField(default=b"", help_text="durations of its model calls, see histogram.py"),
                ),
                migrations.AddField(
                    "session", "last_begun_at", models.DateTimeField(help_text="when its last request began"),
                    preserve_default=False,
                ),
            ],
        ),
        migrations.RunPython(count_lengths, migrations.RunPython.noop),
        migrations.RunSQL(
            "UPDATE session SET last_begun_at = last_at WHERE last_begun_at IS NULL; "
            "ALTER TABLE session ALTER COLUMN last_begun_at SET NOT NULL",
            migrations.RunSQL.noop,
        ),
        index("session_newest", "last_at"),
        index("session_begun", "first_at"),
        index("session_costliest", "cost_nano_usd"),
        index("session_largest", "requests"),
        index("session_failing", "errors"),
        migrations.RunSQL(INDEXES, "DROP INDEX session_longest"),
    ]
