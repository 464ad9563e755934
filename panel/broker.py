"""The connection to the broker (Redis or Valkey) for what Mapboard itself keeps there: slots and the heartbeat.

Nothing in it is the truth about anything; all of it may be wiped at any time.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

BrokerError = redis.RedisError
"""Everything that can go wrong between us and the broker."""

CONNECT_SECONDS: Final = 1.0
ANSWER_SECONDS: Final = 2.0
KEY_PREFIX: Final = "mapboard:"


def broker() -> redis.Redis:
    """This process's client; connects on first use, and again after a fork. Its calls raise BrokerError."""
    return _client(settings.REDIS_URL)


@lru_cache(maxsize=4)
def _client(url: str) -> redis.Redis:
    # One repeat at once: a pooled connection may have been closed by a server that restarted meanwhile.
    return redis.Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_timeout=ANSWER_SECONDS,
        retry=Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    )
