"""What edge knows of rules, budgets and prices has a version, as keys have: accounts_app/migrations/0002."""

from django.db import migrations

TABLES = ("rate_limit_rule", "budget", "session_guard", "model_price")


def _trigger(table: str, columns: str = "") -> str:
    """`columns`: those whose change matters; a budget's looks change every minute."""
    return f"""
CREATE TRIGGER snapshot AFTER INSERT OR DELETE OR TRUNCATE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION raise_snapshot_version();
CREATE TRIGGER snapshot_changed AFTER UPDATE{columns} ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION raise_snapshot_version();
"""


FORWARD = "".join(_trigger(table) for table in TABLES if table != "budget") + _trigger("budget", " OF updated_at")
BACKWARD = "".join(
    f"DROP TRIGGER snapshot ON {table};\nDROP TRIGGER snapshot_changed ON {table};\n" for table in TABLES
)


class Migration(migrations.Migration):
    dependencies = [
        ("alerts_app", "0001_initial"),
        ("accounts_app", "0002_snapshot_version"),
        ("requests_app", "0001_initial"),
    ]
    operations = [migrations.RunSQL(FORWARD, BACKWARD)]
