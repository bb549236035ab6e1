"""Rows and their indexes take less room; what is stored already stays readable as it is.

Indexes by model, user and session hold equal entries once, with all their rows behind. By the microsecond no two
entries are equal; of rows of one model or user a quarter of an hour is as fine an order as a page needs
(`filters.QUARTER`), and a session's rows are read together. Making them anew takes seconds for each million rows,
in which nothing can be stored.

The key of a body is its request's, which is held unique with it in one transaction: organisation and time find it.

An empty list is NULL. Bodies that fit into a page lie in their row; partitions made from now on are so by `store.py`.
"""

import django.contrib.postgres.fields
from django.db import migrations, models

QUARTER = "date_bin('15 minutes', requested_at, '2000-01-01+00')"
INDEXES = (
    ("llm_request_model", "model", QUARTER, ""),
    ("llm_request_end_user", "end_user_id", QUARTER, " WHERE end_user_id IS NOT NULL"),
    ("llm_request_session", "session_id", "", " WHERE session_id IS NOT NULL"),
)
LISTS = ("tool_calls", "problems")
BODIES = "SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = 'llm_request_body'::regclass"


def indexes(*, anew):
    for name, column, time, condition in INDEXES:
        columns = ", ".join(filter(None, ("organization_id", column, time if anew else "requested_at")))
        yield f"DROP INDEX {name}"
        yield f"CREATE INDEX {name} ON llm_request ({columns}){condition}"


BODY = (
    "ALTER TABLE llm_request_body DROP CONSTRAINT llm_request_body_pkey",
    "CREATE INDEX llm_request_body_at ON llm_request_body (organization_id, requested_at)",
)
BODY_BEFORE = (
    "DROP INDEX llm_request_body_at",
    "ALTER TABLE llm_request_body ADD PRIMARY KEY (organization_id, requested_at, id)",
)


def _set(schema_editor, setting):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute(BODIES)
        for (name,) in cursor.fetchall():
            cursor.execute(f"ALTER TABLE {name} {setting}")


def keep_bodies_in_rows(apps, schema_editor):
    _set(schema_editor, "SET (toast_tuple_target = 8160)")


def as_before(apps, schema_editor):
    _set(schema_editor, "RESET (toast_tuple_target)")


class Migration(migrations.Migration):
    dependencies = [("requests_app", "0011_attempts")]
    operations = [
        migrations.RunSQL([*indexes(anew=True)], [*indexes(anew=False)]),
        migrations.RunSQL([*BODY], [*BODY_BEFORE]),
        migrations.RunSQL(
            [f"ALTER TABLE llm_request ALTER {name} DROP NOT NULL" for name in LISTS],
            [
                statement for name in LISTS for statement in (
                    f"UPDATE llm_request SET {name} = '{{}}' WHERE {name} IS NULL",
                    f"ALTER TABLE llm_request ALTER {name} SET NOT NULL",
                )
            ],
            state_operations=[
                migrations.AlterField("llmrequest", name, django.contrib.postgres.fields.ArrayField(
                    base_field=models.TextField(), help_text="NULL: none", null=True, size=None))
                for name in LISTS
            ],
        ),
        migrations.RunPython(keep_bodies_in_rows, as_before),
    ]
