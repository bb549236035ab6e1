"""How many tokens a model takes, as the price list tells it; filled by the next seeding."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("requests_app", "0009_cached_from")]
    operations = [
        migrations.AddField(
            "modelprice", "context_window",
            models.IntegerField(null=True, help_text="tokens the model takes; NULL where nobody tells"),
        ),
    ]
