"""Deployments in memory, as the stand-in Kubernetes API shows them: one cluster a region, rollouts take a moment.

Not Kubernetes: no pods run anywhere. What a client notices is kept: generations, resource versions and their conflicts,
replicas that become available one after the other, and a rollout that exceeds its progress deadline.
"""

import copy
import threading
import time
import uuid
from collections.abc import Callable
from typing import Any

STAND_IN = "Mapboard's stand-in Kubernetes API"
REHEARSE_ANNOTATION = "mapboard.example/rehearse-failure"
"""A Deployment that carries it never becomes available: the example Dag's way to rehearse a failed region."""

JSON = dict[str, Any]


class Refused(Exception):
    """What the API answers instead of an object: a Kubernetes `Status`."""

    def __init__(self, code: int, reason: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message

    def as_status(self) -> JSON:
        return {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": {},
            "status": "Failure",
            "message": f"{self.message} ({STAND_IN})",
            "reason": self.reason,
            "code": self.code,
        }


class Clusters:
    """All methods may be called from several threads; what they return is the caller's own copy."""

    def __init__(
        self,
        *,
        seconds_per_replica: float = 0.4,
        deadline_seconds: float = 1.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.seconds_per_replica = seconds_per_replica
        self.deadline_seconds = deadline_seconds
        self._clock = clock
        self._lock = threading.Lock()
        self._objects: dict[tuple[str, str, str], JSON] = {}
        self._rollouts: dict[tuple[str, str, str], tuple[float, bool]] = {}  # when it began, whether it is to fail
        self._failures: dict[str, int | None] = {}
        self._versions = 0

    def fail_region(self, region: str, rollouts: int | None = None) -> None:
        """The region's next `rollouts` rollouts fail; None: all, until `heal_region`."""
        with self._lock:
            self._failures[region] = rollouts

    def heal_region(self, region: str) -> None:
        with self._lock:
            self._failures.pop(region, None)

    def failing_regions(self) -> dict[str, int | None]:
        with self._lock:
            return dict(self._failures)

    def list(self, region: str, namespace: str) -> list[JSON]:
        with self._lock:
            keys = [key for key in self._objects if key[:2] == (region, namespace)]
            return [self._shown(key) for key in keys]

    def read(self, region: str, namespace: str, name: str) -> JSON:
        with self._lock:
            return self._shown(self._known(region, namespace, name))

    def create(self, region: str, namespace: str, body: JSON, *, dry_run: bool = False) -> JSON:
        with self._lock:
            name = self._checked(body)
            key = (region, namespace, name)
            if key in self._objects:
                raise Refused(409, "AlreadyExists", f'deployments.apps "{name}" already exists')
            return self._stored(key, body, generation=1, uid=str(uuid.uuid4()), dry_run=dry_run)

    def replace(self, region: str, namespace: str, name: str, body: JSON, *, dry_run: bool = False) -> JSON:
        with self._lock:
            key = self._known(region, namespace, name)
            if self._checked(body) != name:
                raise Refused(400, "BadRequest", "the name of the object does not match the name in the address")
            old = self._objects[key]["metadata"]
            if body["metadata"].get("resourceVersion", old["resourceVersion"]) != old["resourceVersion"]:
                raise Refused(
                    409, "Conflict", f'deployments.apps "{name}" was changed meanwhile; read it and try again'
                )
            return self._stored(key, body, generation=old["generation"] + 1, uid=old["uid"], dry_run=dry_run)

    def delete(self, region: str, namespace: str, name: str) -> None:
        with self._lock:
            key = self._known(region, namespace, name)
            del self._objects[key], self._rollouts[key]

    def _known(self, region: str, namespace: str, name: str) -> tuple[str, str, str]:
        key = (region, namespace, name)
        if key not in self._objects:
            raise Refused(404, "NotFound", f'deployments.apps "{name}" not found')
        return key

    def _checked(self, body: JSON) -> str:
        metadata, spec = body.get("metadata"), body.get("spec")
        if body.get("kind") != "Deployment" or not isinstance(metadata, dict) or not isinstance(spec, dict):
            raise Refused(400, "BadRequest", "a Deployment with metadata and spec is needed")
        name, replicas = metadata.get("name"), spec.get("replicas", 1)
        if not isinstance(name, str) or not name:
            raise Refused(422, "Invalid", "metadata.name: a name is needed")
        if not isinstance(replicas, int) or isinstance(replicas, bool) or replicas < 0:
            raise Refused(422, "Invalid", "spec.replicas: must be a whole number of 0 or more")
        return name

    def _stored(self, key: tuple[str, str, str], body: JSON, *, generation: int, uid: str, dry_run: bool) -> JSON:
        kept = copy.deepcopy(body)
        self._versions += 1
        kept["metadata"] |= {
            "namespace": key[1],
            "generation": generation,
            "uid": uid,
            "resourceVersion": str(self._versions),
        }
        kept["spec"].setdefault("replicas", 1)
        kept.pop("status", None)
        if dry_run:
            return kept
        annotations = kept["metadata"].get("annotations") or {}
        fails = annotations.get(REHEARSE_ANNOTATION) == "true" or self._take_failure(key[0])
        self._objects[key] = kept
        self._rollouts[key] = (self._clock(), fails)
        return self._shown(key)

    def _take_failure(self, region: str) -> bool:
        if region not in self._failures:
            return False
        left = self._failures[region]
        if left is None:
            return True
        if left <= 1:
            del self._failures[region]
        else:
            self._failures[region] = left - 1
        return left > 0

    def _shown(self, key: tuple[str, str, str]) -> JSON:
        shown = copy.deepcopy(self._objects[key])
        began, fails = self._rollouts[key]
        elapsed = self._clock() - began
        wanted: int = shown["spec"]["replicas"]
        available = 0 if fails else min(wanted, int(elapsed / self.seconds_per_replica))
        shown["status"] = {
            "observedGeneration": shown["metadata"]["generation"],
            "replicas": wanted,
            "updatedReplicas": wanted,
            "availableReplicas": available,
            "unavailableReplicas": wanted - available,
            "conditions": [self._progress(fails and elapsed >= self.deadline_seconds, available == wanted)],
        }
        return shown

    def _progress(self, failed: bool, complete: bool) -> JSON:
        reason = "ProgressDeadlineExceeded" if failed else "NewReplicaSetAvailable" if complete else "ReplicaSetUpdated"
        return {
            "type": "Progressing",
            "status": "False" if failed else "True",
            "reason": reason,
            "message": "the pods crash while starting: exit code 1, back-off restarting" if failed else "",
        }
