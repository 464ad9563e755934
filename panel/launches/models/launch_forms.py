"""Launch forms that admins make on top of a Dag's params."""

from __future__ import annotations

import json
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group
from django.db import models

from panel.servers.models import Server


class FormDefinition(models.Model):
    """A launch form of one Dag: what people read, which params they see, and who may use it.

    ``shapes_json`` is a list in the order of the form, an entry a param: see panel/launches/shapes.py. ``button`` are
    words such as ``Deploy {version} to {env}``. ``groups`` and ``users``: who may see and use it; neither: every
    deployer. ``is_protected``: whatever is launched through it is protected as the Dag's guard rails say. ``version``
    grows with every change, so that of two admins at once the second is told.
    """

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="+")
    dag_id = models.CharField(max_length=250)
    slug = models.SlugField(max_length=50)
    title = models.CharField(max_length=120)
    text = models.TextField(blank=True)
    button = models.CharField(max_length=200, blank=True)
    shapes_json = models.TextField(default="[]")
    groups = models.ManyToManyField(Group, related_name="+")
    users = models.ManyToManyField(settings.AUTH_USER_MODEL, related_name="+")
    is_enabled = models.BooleanField(default=True)
    is_protected = models.BooleanField(default=False)
    version = models.PositiveIntegerField(default=1)
    search = models.TextField(blank=True)
    updated_at = models.DateTimeField()
    username = models.CharField(max_length=150)

    class Meta:
        ordering = ["title", "pk"]
        constraints = [models.UniqueConstraint(fields=["server", "dag_id", "slug"], name="launch_form_slug_once_a_dag")]

    def __str__(self) -> str:
        return self.title

    @property
    def shapes(self) -> list[dict[str, Any]]:
        loaded: list[dict[str, Any]] = json.loads(self.shapes_json)
        return loaded


class FormsSwitch(models.Model):
    """``only_forms``: who is no admin launches this Dag through its forms only. Without a row: also by the bare one."""

    server = models.ForeignKey(Server, on_delete=models.CASCADE, related_name="+")
    dag_id = models.CharField(max_length=250)
    only_forms = models.BooleanField(default=False)
    updated_at = models.DateTimeField()
    username = models.CharField(max_length=150)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["server", "dag_id"], name="forms_switch_once_a_dag")]

    def __str__(self) -> str:
        return self.dag_id


class KnownOptions(models.Model):
    """What an HTTP source of options answered last: ``[[value, label], …]``, for the time when it does not."""

    url_hash = models.CharField(max_length=64, unique=True)
    options_json = models.TextField(default="[]")
    read_at = models.DateTimeField(db_index=True)

    def __str__(self) -> str:
        return self.url_hash

    @property
    def options(self) -> list[tuple[Any, str]]:
        return [(value, label) for value, label in json.loads(self.options_json)]
