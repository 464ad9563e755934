"""The stand-in Kubernetes API: what a client of the real one would notice, and that it says what it is."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from examples.demo.clusters import REHEARSE_ANNOTATION, Clusters
from examples.demo.kubernetes_standin import KubernetesStandin

pytestmark = pytest.mark.enable_socket

DEPLOYMENTS = "/clusters/us-west-2/apis/apps/v1/namespaces/payments-prod/deployments"


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def standin(clock: Clock) -> Iterator[KubernetesStandin]:
    clusters = Clusters(seconds_per_replica=1, deadline_seconds=5, clock=clock)
    with KubernetesStandin(clusters=clusters) as standin:
        yield standin


def ask(standin: KubernetesStandin, method: str, path: str, body: Any = None) -> tuple[int, Any]:
    data = body if isinstance(body, bytes) else None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(standin.base_url + path, data=data, method=method)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=10) as answer:
            assert answer.headers["Server"] == "mapboard-kubernetes-stand-in"
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def deployment(*, replicas: int = 3, annotations: dict[str, str] | None = None, **metadata: Any) -> dict[str, Any]:
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "payments-api", "annotations": annotations or {}, **metadata},
        "spec": {"replicas": replicas},
    }


def available(standin: KubernetesStandin, path: str = DEPLOYMENTS) -> int:
    return ask(standin, "GET", f"{path}/payments-api")[1]["status"]["availableReplicas"]


def progress(standin: KubernetesStandin) -> str:
    return ask(standin, "GET", f"{DEPLOYMENTS}/payments-api")[1]["status"]["conditions"][0]["reason"]


def test_it_is_named_a_stand_in(standin: KubernetesStandin) -> None:
    assert "stand-in" in ask(standin, "GET", "/")[1]["stand_in"]
    assert "stand-in" in ask(standin, "GET", f"{DEPLOYMENTS}/nothing")[1]["message"]


def test_replicas_become_available_one_after_the_other(standin: KubernetesStandin, clock: Clock) -> None:
    assert ask(standin, "POST", DEPLOYMENTS, deployment())[0] == 201
    seen = []
    for clock.now in (0, 1, 2, 3, 9):
        seen.append(available(standin))
    assert seen == [0, 1, 2, 3, 3]
    assert progress(standin) == "NewReplicaSetAvailable"


def test_regions_and_namespaces_are_apart(standin: KubernetesStandin) -> None:
    ask(standin, "POST", DEPLOYMENTS, deployment())
    assert ask(standin, "GET", f"{DEPLOYMENTS.replace('us-west-2', 'eu-west-1')}/payments-api")[0] == 404
    assert ask(standin, "GET", f"{DEPLOYMENTS.replace('-prod', '-staging')}/payments-api")[0] == 404
    assert len(ask(standin, "GET", DEPLOYMENTS)[1]["items"]) == 1


def test_creating_twice_is_a_conflict(standin: KubernetesStandin) -> None:
    ask(standin, "POST", DEPLOYMENTS, deployment())
    code, status = ask(standin, "POST", DEPLOYMENTS, deployment())
    assert (code, status["reason"]) == (409, "AlreadyExists")


def test_a_replacement_is_a_new_generation_and_a_new_rollout(standin: KubernetesStandin, clock: Clock) -> None:
    ask(standin, "POST", DEPLOYMENTS, deployment())
    clock.now = 10
    code, replaced = ask(standin, "PUT", f"{DEPLOYMENTS}/payments-api", deployment(replicas=2))
    assert (code, replaced["metadata"]["generation"], replaced["status"]["availableReplicas"]) == (200, 2, 0)


def test_a_stale_replacement_is_a_conflict(standin: KubernetesStandin) -> None:
    old = ask(standin, "POST", DEPLOYMENTS, deployment())[1]["metadata"]["resourceVersion"]
    assert ask(standin, "PUT", f"{DEPLOYMENTS}/payments-api", deployment(resourceVersion=old))[0] == 200
    assert ask(standin, "PUT", f"{DEPLOYMENTS}/payments-api", deployment(resourceVersion=old))[0] == 409


def test_a_dry_run_is_checked_but_not_kept(standin: KubernetesStandin) -> None:
    assert ask(standin, "POST", f"{DEPLOYMENTS}?dryRun=All", deployment())[0] == 201
    assert ask(standin, "POST", f"{DEPLOYMENTS}?dryRun=All", deployment(replicas=-1))[0] == 422
    assert ask(standin, "GET", f"{DEPLOYMENTS}/payments-api")[0] == 404


def test_a_rehearsed_failure_exceeds_its_deadline(standin: KubernetesStandin, clock: Clock) -> None:
    ask(standin, "POST", DEPLOYMENTS, deployment(annotations={REHEARSE_ANNOTATION: "true"}))
    clock.now = 4
    assert progress(standin) == "ReplicaSetUpdated"
    clock.now = 5
    assert (progress(standin), available(standin)) == ("ProgressDeadlineExceeded", 0)


def test_a_region_can_be_told_to_fail_its_next_rollouts(standin: KubernetesStandin, clock: Clock) -> None:
    assert ask(standin, "PUT", "/stand-in/failures/us-west-2", {"rollouts": 2})[0] == 200
    outcome = [ask(standin, "POST", DEPLOYMENTS, deployment())]
    for _ in range(2):
        clock.now += 10
        outcome.append(progress(standin))
        ask(standin, "PUT", f"{DEPLOYMENTS}/payments-api", deployment())
    clock.now += 10
    assert outcome[1:] == ["ProgressDeadlineExceeded"] * 2
    assert progress(standin) == "NewReplicaSetAvailable"


def test_a_region_can_be_told_to_fail_until_switched_off(standin: KubernetesStandin, clock: Clock) -> None:
    ask(standin, "PUT", "/stand-in/failures/us-west-2", {"rollouts": None})
    ask(standin, "POST", DEPLOYMENTS, deployment())
    other = DEPLOYMENTS.replace("us-west-2", "eu-west-1")
    ask(standin, "POST", other, deployment())
    clock.now = 10
    assert (available(standin), available(standin, other)) == (0, 3)
    assert ask(standin, "DELETE", "/stand-in/failures/us-west-2")[1]["failing_regions"] == {}
    ask(standin, "PUT", f"{DEPLOYMENTS}/payments-api", deployment())
    clock.now = 20
    assert available(standin) == 3


@pytest.mark.parametrize("body", [{}, {"rollouts": 0}, {"rollouts": "2"}, {"rollouts": True}])
def test_a_senseless_failure_order_is_refused(standin: KubernetesStandin, body: dict[str, Any]) -> None:
    assert ask(standin, "PUT", "/stand-in/failures/us-west-2", body)[0] == 422
    assert ask(standin, "GET", "/stand-in")[1]["failing_regions"] == {}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"not json", 400),
        ([1], 400),
        ({"kind": "Pod"}, 400),
        ({"kind": "Deployment", "metadata": {}, "spec": {}}, 422),
        ({"kind": "Deployment", "metadata": {"name": "x"}, "spec": {"replicas": "3"}}, 422),
    ],
)
def test_a_senseless_deployment_is_refused(standin: KubernetesStandin, body: Any, code: int) -> None:
    assert ask(standin, "POST", DEPLOYMENTS, body)[0] == code
    assert ask(standin, "GET", DEPLOYMENTS)[1]["items"] == []


def test_a_deleted_deployment_is_gone(standin: KubernetesStandin) -> None:
    ask(standin, "POST", DEPLOYMENTS, deployment())
    assert ask(standin, "DELETE", f"{DEPLOYMENTS}/payments-api")[0] == 200
    assert ask(standin, "GET", f"{DEPLOYMENTS}/payments-api")[0] == 404
