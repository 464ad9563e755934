"""How carefully a job is sent. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from django.utils.translation import gettext as _

from panel.problems import Unprocessable
from panel.retries.models import LARGEST_CHUNK, USUAL_CHUNK

MOST_CHUNKS_PER_MINUTE: Final = 600


@dataclass(frozen=True, slots=True)
class Policy:
    """How the chunks are sent. ``canary`` indices go first; the rest only if at most
    ``canary_max_failure_rate`` (0 to 1) of them failed again.
    """

    chunk_size: int = USUAL_CHUNK
    chunks_per_minute: float | None = None
    canary: int | None = None
    canary_max_failure_rate: float | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "chunk_size": self.chunk_size,
            "chunks_per_minute": self.chunks_per_minute,
            "canary": self.canary,
            "canary_max_failure_rate": self.canary_max_failure_rate,
        }

    def check(self) -> None:
        """Raises Unprocessable naming every wrong number."""
        fields: dict[str, list[str]] = {}
        if not 1 <= self.chunk_size <= LARGEST_CHUNK:
            fields["chunk_size"] = [_("A number from 1 to %(most)s.") % {"most": LARGEST_CHUNK}]
        if self.chunks_per_minute is not None and not 0 < self.chunks_per_minute <= MOST_CHUNKS_PER_MINUTE:
            fields["chunks_per_minute"] = [_("A number above 0, at most %(most)s.") % {"most": MOST_CHUNKS_PER_MINUTE}]
        if self.canary is not None and self.canary < 1:
            fields["canary"] = [_("At least 1 index, or leave it empty.")]
        rate = self.canary_max_failure_rate
        if rate is not None and not 0 <= rate <= 1:
            fields["canary_max_failure_rate"] = [_("A share from 0 to 1.")]
        if rate is not None and self.canary is None:
            fields["canary_max_failure_rate"] = [_("Say how many indices go first, too.")]
        if fields:
            raise Unprocessable(_("Some fields are not right."), fields)
