"""A call's bodies and headers stand in one frame, `together`; rows stored before keep theirs apart."""

from django.db import migrations, models

FORWARD = """
ALTER TABLE llm_request_body ADD COLUMN together bytea;
ALTER TABLE llm_request_body ALTER together SET STORAGE EXTERNAL;
"""


BACK = """
DO $$ BEGIN
    IF EXISTS (SELECT 1 FROM llm_request_body WHERE together IS NOT NULL) THEN
        RAISE EXCEPTION 'bodies stored since would be lost';
    END IF;
END $$;
ALTER TABLE llm_request_body DROP COLUMN together;
"""


class Migration(migrations.Migration):
    dependencies = [("requests_app", "0012_less_room")]
    operations = [
        migrations.RunSQL(
            FORWARD, BACK,
            state_operations=[migrations.AddField("llmrequestbody", "together", models.BinaryField(null=True))],
        ),
    ]
