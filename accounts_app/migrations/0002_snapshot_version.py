"""What `edge` knows has a version: any change to these tables raises it and tells every listener."""

from django.db import migrations

TABLES = ("organization", "api_key")

FORWARD = """
CREATE TABLE snapshot_version (one boolean PRIMARY KEY DEFAULT true CHECK (one), version bigint NOT NULL);
INSERT INTO snapshot_version (version) VALUES (1);
CREATE FUNCTION raise_snapshot_version() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE snapshot_version SET version = version + 1;
    PERFORM pg_notify('snapshot', '');
    RETURN NULL;
END $$;
""" + "".join(
    f"""
CREATE TRIGGER snapshot AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION raise_snapshot_version();
"""
    for table in TABLES
)

BACKWARD = "".join(f"DROP TRIGGER snapshot ON {table};" for table in TABLES) + """
DROP FUNCTION raise_snapshot_version();
DROP TABLE snapshot_version;
"""


class Migration(migrations.Migration):
    dependencies = [("accounts_app", "0001_initial")]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
