"""One region's cluster, through the Kubernetes client. Only a running task imports it: the client is slow to load."""

import time
from collections.abc import Callable
from typing import Any

from kubernetes import client
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from .regions import NAME, RolloutFailed, rollout_complete

NOT_FOUND = 404


class ClusterRefused(Exception):
    """The Kubernetes API could not be reached or said no."""


class Cluster:
    """api: the address of the region's Kubernetes API."""

    def __init__(self, api: str, namespace: str) -> None:
        configuration = client.Configuration(host=api)
        configuration.retries = 1
        self._api = client.ApiClient(configuration)
        self._apps = client.AppsV1Api(self._api)
        self._namespace = namespace

    def apply(self, deployment: dict[str, Any], *, dry_run: bool) -> dict[str, Any]:
        """Creates the Deployment or replaces the one that is there."""
        how: dict[str, Any] = {"dry_run": "All"} if dry_run else {}
        known = self._read()
        if known is None:
            return self._ask(lambda: self._apps.create_namespaced_deployment(self._namespace, deployment, **how))
        version = {"resourceVersion": known["metadata"]["resourceVersion"]}
        body = deployment | {"metadata": deployment["metadata"] | version}
        return self._ask(lambda: self._apps.replace_namespaced_deployment(NAME, self._namespace, body, **how))

    def wait_for_rollout(self, *, timeout_seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + timeout_seconds
        while True:
            deployment = self._read()
            if deployment is None:
                raise RolloutFailed(f"{NAME} was deleted during its rollout")
            if rollout_complete(deployment):
                return deployment
            if time.monotonic() > deadline:
                raise RolloutFailed(f"{NAME} was not available within {timeout_seconds:.0f} s")
            time.sleep(0.3)

    def _read(self) -> dict[str, Any] | None:
        try:
            return self._ask(lambda: self._apps.read_namespaced_deployment(NAME, self._namespace))
        except ClusterRefused as error:
            if isinstance(error.__cause__, ApiException) and error.__cause__.status == NOT_FOUND:
                return None
            raise

    def _ask(self, request: Callable[[], Any]) -> dict[str, Any]:
        try:
            answer: dict[str, Any] = self._api.sanitize_for_serialization(request())
        except ApiException as error:
            raise ClusterRefused(f"Kubernetes answered {error.status} {error.reason}") from error
        except HTTPError as error:
            raise ClusterRefused(f"Kubernetes could not be reached: {type(error).__name__}") from error
        return answer
