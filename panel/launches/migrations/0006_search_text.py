"""What launches from before are searched by, filled in batches; begun again it goes on where it stood."""

import json

from django.db import migrations

BATCH = 500
SEARCHED_LENGTH = 20_000


def _as_text(value):
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _searchable(launch):
    """As panel.launches.models.launches did when this was written: no secret is in it."""
    hidden = set(launch.secret_params)
    params = json.loads(launch.params_json)
    values = [f"{name}={_as_text(value)}" for name, value in params.items() if name not in hidden]
    return "\n".join([launch.note, *values]).casefold()[:SEARCHED_LENGTH]


def fill(apps, schema_editor):
    launches = apps.get_model("launches", "Launch").objects.using(schema_editor.connection.alias)
    last = None
    while True:
        rows = launches.filter(search_text="").order_by("pk").only("pk", "note", "params_json", "secret_params")
        batch = list((rows if last is None else rows.filter(pk__gt=last))[:BATCH])
        if not batch:
            return
        for launch in batch:
            launch.search_text = _searchable(launch)
        launches.bulk_update(batch, ["search_text"])
        last = batch[-1].pk


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("launches", "0005_after_the_launch"),
    ]

    operations = [
        migrations.RunPython(fill, migrations.RunPython.noop),
    ]
