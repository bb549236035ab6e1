"""What is known of a trace, fact by fact with who said it and when, where there was one speaker for all of them."""

from django.db import migrations, models

_TOLD = """
UPDATE trace SET told = jsonb_strip_nulls(jsonb_build_object(
    'session', CASE WHEN session_id IS NOT NULL THEN jsonb_build_array(r, at, session_id) END,
    'user', CASE WHEN end_user_id IS NOT NULL THEN jsonb_build_array(r, at, end_user_id) END,
    'names', CASE WHEN session_name IS NOT NULL
        THEN jsonb_build_object(coalesce(session_id, ''), jsonb_build_array(r, at, session_name)) END,
    'properties', (SELECT jsonb_object_agg(key, jsonb_build_array(r, at, value)) FROM jsonb_each_text(properties))))
FROM (SELECT organization_id AS o, trace_id AS i, CASE WHEN is_root THEN 0 ELSE 1 END AS r,
    (extract(epoch FROM said_at) * 1000000)::bigint AS at FROM trace WHERE said_at IS NOT NULL) AS said
WHERE organization_id = o AND trace_id = i
"""


class Migration(migrations.Migration):

    dependencies = [
        ('ingest_app', '0005_pending_bodies'),
    ]

    operations = [
        migrations.AddField(
            model_name='trace',
            name='told',
            field=models.JSONField(default=dict, help_text='each fact with who said it and when: ingest_app/traces.py, Told'),
        ),
        migrations.RunSQL(_TOLD, migrations.RunSQL.noop),
        migrations.RemoveField(model_name='trace', name='is_root'),
        migrations.RemoveField(model_name='trace', name='properties'),
        migrations.RemoveField(model_name='trace', name='said_at'),
    ]
