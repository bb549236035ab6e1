"""Sessions counted by the days they began and last called on, and by name; whoever writes `session` counts by trigger.

A trigger sees a statement's rows before and after it, whatever came between, so the sums agree with the rows at every
moment. It appends; `rollup.fold` adds up. An index by name finds one name's sessions.
"""

from django.db import migrations, models

KEY = ("begun", "ended", "name")
SUMS = ("sessions", "requests", "steps", "cost_nano_usd", "duration_ms")
COLUMNS = "begun date NOT NULL, ended date NOT NULL, name text NOT NULL, " + ", ".join(
    f"{name} bigint NOT NULL" for name in SUMS
)
TABLES = f"""
CREATE TABLE session_delta (
    organization_id bigint NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY, {COLUMNS},
    PRIMARY KEY (organization_id, id)
) WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 5000);
CREATE TABLE session_day (
    organization_id bigint NOT NULL, {COLUMNS}, PRIMARY KEY (organization_id, begun, ended, name)
) WITH (fillfactor = 70);
"""
COUNTED = """
SELECT organization_id, (first_at AT TIME ZONE 'UTC')::date, (last_begun_at AT TIME ZONE 'UTC')::date,
    coalesce(name, ''), {}
FROM ({}) AS moved GROUP BY 1, 2, 3, 4
"""
ADDED = COUNTED.format(", ".join(["sum(sign)", *(f"sum(sign * {name})" for name in SUMS[1:])]), "{}")
SOMETHING = "HAVING " + " OR ".join(["sum(sign) <> 0", *(f"sum(sign * {name}) <> 0" for name in SUMS[1:])])
READ = ("organization_id", "first_at", "last_begun_at", "name", *SUMS[1:])


def moved(*, before, after):
    sides = [(1, "after")] * after + [(-1, "before")] * before
    columns = ", ".join(f"session.{name}" for name in READ)
    return " UNION ALL ".join(f"SELECT {sign} AS sign, {columns} FROM {table} AS session" for sign, table in sides)


def trigger(event, *, before, after):
    tables = " ".join(["OLD TABLE AS before"] * before + ["NEW TABLE AS after"] * after)
    return f"""
CREATE FUNCTION count_session_{event}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    INSERT INTO session_delta (organization_id, {", ".join(KEY + SUMS)})
    {ADDED.format(moved(before=before, after=after))} {SOMETHING};
    RETURN NULL;
END $$;
CREATE TRIGGER count_{event} AFTER {event} ON session REFERENCING {tables}
    FOR EACH STATEMENT EXECUTE FUNCTION count_session_{event}();
"""


EMPTIED = """
CREATE FUNCTION count_session_truncate() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
    DELETE FROM session_day;
    DELETE FROM session_delta;
    RETURN NULL;
END $$;
CREATE TRIGGER count_truncate AFTER TRUNCATE ON session FOR EACH STATEMENT EXECUTE FUNCTION count_session_truncate();
"""
THERE_ALREADY = f"""
LOCK TABLE session IN SHARE ROW EXCLUSIVE MODE;
INSERT INTO session_day (organization_id, {", ".join(KEY + SUMS)})
{ADDED.format("SELECT 1 AS sign, * FROM session")};
"""
INDEX = "CREATE INDEX session_named ON session (organization_id, (coalesce(name, '')), first_at)"
EVENTS = ("insert", "update", "delete", "truncate")
DROP = "".join(
    f"DROP TRIGGER count_{event} ON session; DROP FUNCTION count_session_{event}();" for event in EVENTS
) + "DROP INDEX session_named; DROP TABLE session_delta, session_day"


def model(name, table, *more):
    key = [field for field, _ in more] if more else list(KEY)
    pk = models.CompositePrimaryKey(
        "organization_id", *key, blank=True, editable=False, primary_key=True, serialize=False
    )
    fields = [
        ("pk", pk), ("organization_id", models.BigIntegerField()), *more,
        ("begun", models.DateField(help_text="UTC day of its first request")),
        ("ended", models.DateField(help_text="UTC day its last request began on")),
        ("name", models.TextField(help_text="empty: none")),
        *((one, models.BigIntegerField()) for one in SUMS),
    ]  # fmt: skip
    return migrations.CreateModel(name, fields, options={"db_table": table})


class Migration(migrations.Migration):
    dependencies = [("sessions_app", "0002_lengths")]
    operations = [
        migrations.RunSQL(
            TABLES + THERE_ALREADY + INDEX + ";"
            + trigger("insert", before=False, after=True) + trigger("update", before=True, after=True)
            + trigger("delete", before=True, after=False) + EMPTIED,
            DROP,
            state_operations=[
                model("SessionDay", "session_day"),
                model("SessionDelta", "session_delta", ("id", models.BigIntegerField())),
            ],
        ),
    ]
