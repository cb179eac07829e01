"""The deployment files are valid and speak of things that exist."""

import json
import re
from pathlib import Path

import kubernetes_validate
import pytest
import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
KUSTOMIZATION = yaml.safe_load((DEPLOY / "kubernetes" / "kustomization.yaml").read_text())
MANIFESTS = [
    d for name in KUSTOMIZATION["resources"] for d in yaml.safe_load_all((DEPLOY / "kubernetes" / name).read_text())
]


@pytest.mark.parametrize("document", MANIFESTS, ids=lambda d: d["kind"])
def test_kubernetes_manifests_fit_the_published_schema(document: dict) -> None:
    kubernetes_validate.validate(document, "1.33", strict=True)


def test_kubernetes_hardening() -> None:
    assert {d["kind"] for d in MANIFESTS} == {
        "Deployment",
        "Service",
        "PodDisruptionBudget",
        "NetworkPolicy",
        "HorizontalPodAutoscaler",
    }
    pod = next(d for d in MANIFESTS if d["kind"] == "Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"]
    assert container["securityContext"]["readOnlyRootFilesystem"]
    assert container["readinessProbe"]["httpGet"]["path"] == "/readyz"
    (image,) = KUSTOMIZATION["images"]
    assert container["image"].startswith(f"{image['name']}:"), "kustomize would not find the image to replace"


def exported_metrics() -> set[str]:
    return set(re.findall(r'"(foveal_\w+)"', (ROOT / "service" / "observability" / "metrics.py").read_text()))


def test_dashboard_and_autoscaler_ask_for_metrics_that_exist() -> None:
    dashboard = json.loads((DEPLOY / "grafana" / "foveal.json").read_text())
    expressions = [t["expr"] for p in dashboard["panels"] for t in p["targets"]]
    asked = set(re.findall(r"foveal_\w+", " ".join(expressions)))
    asked |= set(re.findall(r"foveal_\w+", (DEPLOY / "kubernetes" / "foveal.yaml").read_text()))
    known = exported_metrics()
    assert known
    for name in asked:
        assert re.sub(r"_(total|bucket|sum|count)$", "", name) in known, name


def test_the_image_runs_as_nobody_and_carries_no_torch() -> None:
    text = (ROOT / "Dockerfile").read_text()
    final = text.split("FROM ")[-1]
    assert re.search(r"^USER \d+$", final, re.M)
    assert "HEALTHCHECK" in final
    assert "STOPSIGNAL SIGTERM" in final
    assert "apt-get" not in final
    assert "requirements/serve.txt" in text


def test_compose_mounts_files_that_exist() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for service in compose["services"].values():
        for volume in service.get("volumes", []):
            assert (DEPLOY / volume.split(":")[0]).exists(), volume
    assert compose["services"]["foveal"]["read_only"]
