"""One mail to one person, as a room keeps it until it is sent."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from panel.clock import database_now


class Outgoing(models.Model):
    """Abstract: a room adds what the mail is about, a constraint that keeps it to one a person, and an index on
    ``next_at``.

    ``next_at``: not before, null once it was sent or given up. ``claimed_until`` keeps workers out of each other's
    way. ``last_error`` says why it was not sent yet, in our own words. The times are by the database's clock.
    """

    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    next_at = models.DateTimeField(null=True, default=database_now)
    claimed_until = models.DateTimeField(null=True)
    attempts = models.PositiveIntegerField(default=0)
    last_error = models.CharField(max_length=300, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)
    sent_at = models.DateTimeField(null=True)

    class Meta:
        abstract = True
