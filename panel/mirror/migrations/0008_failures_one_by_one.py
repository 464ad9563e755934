from django.db import migrations, models
from django.db.models import Q

SORTED_APART = ('label_folded', 'try_number', 'start_date', 'end_date', 'duration')
TOLD_APART = Q(outcome='hard_failure') | Q(outcome='retrying') | Q(outcome='soft_failure') | Q(outcome='upstream_failed')


class OnSQLite:
    """To PostgreSQL both conditions are the same, and to make the indexes anew would keep readers waiting."""

    def database_forwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor == "sqlite":
            super().database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(self, app_label, schema_editor, from_state, to_state):
        if schema_editor.connection.vendor == "sqlite":
            super().database_backwards(app_label, schema_editor, from_state, to_state)


class RemoveIndex(OnSQLite, migrations.RemoveIndex):
    pass


class AddIndex(OnSQLite, migrations.AddIndex):
    pass


class Migration(migrations.Migration):

    dependencies = [
        ('mirror', '0007_schedules'),
    ]

    operations = [
        *(RemoveIndex(model_name='instance', name=f'failures_by_{name}') for name in SORTED_APART),
        *(
            AddIndex(
                model_name='instance',
                index=models.Index(
                    condition=TOLD_APART,
                    fields=['mapped_task', 'outcome', name, 'map_index'],
                    name=f'failures_by_{name}',
                ),
            )
            for name in SORTED_APART
        ),
    ]
