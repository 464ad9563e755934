"""Airflow servers that Mapboard talks to."""

from __future__ import annotations

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _


class Server(models.Model):
    """One Airflow install. ``secret_encrypted`` holds the password or the bearer token, ``ca_pem`` its own CA.

    ``login_token_encrypted`` is the token of the last login by password, shared by all processes of this install.
    """

    class Authentication(models.TextChoices):
        PASSWORD = "password", _("User and password")
        TOKEN = "token", _("Bearer token")

    slug = models.SlugField(unique=True)
    name = models.CharField(max_length=100)
    base_url = models.CharField(max_length=500)
    authentication = models.CharField(max_length=10, choices=Authentication, default=Authentication.PASSWORD)
    username = models.CharField(max_length=200, blank=True)
    secret_encrypted = models.TextField(blank=True)
    ca_pem = models.TextField(blank=True)
    max_in_flight = models.PositiveSmallIntegerField(default=4, validators=[MinValueValidator(1), MaxValueValidator(8)])
    login_token_encrypted = models.TextField(blank=True)
    login_token_expires_at = models.DateTimeField(null=True)

    version = models.CharField(max_length=50, blank=True)
    healthy = models.BooleanField(null=True)
    last_error = models.TextField(blank=True)
    last_error_at = models.DateTimeField(null=True)
    checked_at = models.DateTimeField(null=True)
    check_claimed_until = models.DateTimeField(null=True)
    last_success_at = models.DateTimeField(null=True)
    unreachable_since = models.DateTimeField(null=True)
    dags_synced_at = models.DateTimeField(null=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["slug"]

    def __str__(self) -> str:
        return self.slug
