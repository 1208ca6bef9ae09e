"""The tutorial's trap of order: a pod is told of the Services that there were when its container started."""

import pytest
from systemlab import settled

from netsim.cluster.objects import Pod, Service
from netsim.experiment.cluster import Cluster
from netsim.experiment.play import start_loads
from netsim.experiment.spec_experiment import Load
from netsim.measure.collect import Recorder

LATE = {
    "metadata": {"name": "late"},
    "spec": {"selector": {"run": "my-nginx"}, "ports": [{"port": 8000, "targetPort": 80}]},
}
CLIENT = {
    "metadata": {"name": "second", "labels": {"run": "second"}},
    "spec": {"containers": [{"name": "sh", "image": "busybox"}]},
}


@pytest.fixture(scope="module")
def cluster() -> Cluster:
    """my-nginx and its client; then the Service `late`; then another pod."""
    made = settled("my-nginx")
    made.control_plane.apply([Service.model_validate(LATE)])
    made.run("5s")
    made.control_plane.apply([Pod.model_validate(CLIENT)])
    made.run("10s")
    return made


def outcomes(cluster: Cluster, run: str, to: str) -> list[tuple[str, str]]:
    recorder = Recorder(cluster.engine.bus)
    load = Load.model_validate(
        {"name": "x", "from": {"run": run}, "to": to, "rate": "10/s", "arrivals": "constant"}
    )
    [generator] = start_loads(cluster, (load,), cluster.engine.now)
    cluster.run("950ms")
    generator.stop(cluster.engine.now)
    recorder.stop()
    assert len(recorder.requests) == 10
    return sorted({(done.outcome, done.error) for done in recorder.requests})


WITH_VARIABLES = "http://$(LATE_SERVICE_HOST):$(LATE_SERVICE_PORT)/"
UNSET = "no host in the URL: LATE_SERVICE_HOST is not set, LATE_SERVICE_PORT is not set"


def test_a_pod_from_before_has_no_variables_of_the_service(cluster: Cluster) -> None:
    assert outcomes(cluster, "client", WITH_VARIABLES) == [("dns", UNSET)]
    assert outcomes(cluster, "client", "http://$(LATE_SERVICE_HOST)/") == [
        ("dns", "no host in the URL: LATE_SERVICE_HOST is not set")
    ]
    assert outcomes(cluster, "client", "http://late:8000/") == [("ok", "")]  # DNS does not mind


def test_a_pod_from_after_has_them(cluster: Cluster) -> None:
    assert outcomes(cluster, "second", WITH_VARIABLES) == [("ok", "")]


def test_the_shell_agrees(cluster: Cluster) -> None:
    line = "curl -s -o /dev/null -w '%{http_code}' $LATE_SERVICE_HOST:$LATE_SERVICE_PORT"
    assert cluster.exec("second", line).stdout == "200"
    assert cluster.exec("client", line).code == 3
