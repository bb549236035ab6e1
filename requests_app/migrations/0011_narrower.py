"""Rows without tools or problems have no empty array for them; what stands in `store.py` of models' names needs nothing.

Rows there are stay as they are.
"""

from django.contrib.postgres.fields import ArrayField
from django.db import migrations, models

FIELD = ArrayField(base_field=models.TextField(), null=True, size=None)


class Migration(migrations.Migration):
    dependencies = [("requests_app", "0010_scored")]
    operations = [
        migrations.RunSQL(
            "ALTER TABLE llm_request ALTER tool_calls DROP NOT NULL, ALTER problems DROP NOT NULL",
            "UPDATE llm_request SET tool_calls = coalesce(tool_calls, '{}'), problems = coalesce(problems, '{}') "
            "WHERE tool_calls IS NULL OR problems IS NULL; "
            "ALTER TABLE llm_request ALTER tool_calls SET NOT NULL, ALTER problems SET NOT NULL",
            state_operations=[
                migrations.AlterField("llmrequest", "tool_calls", FIELD),
                migrations.AlterField("llmrequest", "problems", FIELD),
            ],
        ),
    ]
