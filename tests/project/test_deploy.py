"""The deployment files are valid and speak of things that exist."""

import json
import re
import shutil
import subprocess
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


def test_the_kinds_of_the_manifests() -> None:
    assert {d["kind"] for d in MANIFESTS} == {
        *("Namespace", "ServiceAccount", "Deployment", "Service"),
        *("PodDisruptionBudget", "NetworkPolicy", "HorizontalPodAutoscaler"),
    }
    (image,) = KUSTOMIZATION["images"]
    assert CONTAINER["image"].startswith(f"{image['name']}:"), "kustomize would not find the image to replace"
    assert re.fullmatch("sha256:[0-9a-f]{64}", image["digest"])


def of_kind(kind: str) -> dict:
    return next(d for d in MANIFESTS if d["kind"] == kind)


POD = of_kind("Deployment")["spec"]["template"]["spec"]
(CONTAINER,) = POD["containers"]
# https://kubernetes.io/docs/concepts/security/pod-security-standards/: "baseline", then what "restricted" adds
VOLUMES = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}


def violations(pod: dict) -> set[str]:
    """Rules of the Pod Security Standard "restricted" (Linux) that a pod's specification breaks."""
    own = pod.get("securityContext", {})
    broken = {name for name in ("hostNetwork", "hostPID", "hostIPC") if pod.get(name)}
    broken |= {"sysctls" for _ in own.get("sysctls", [])}
    broken |= {"volumes" for volume in pod.get("volumes", []) if not (set(volume) - {"name"}) <= VOLUMES}
    for container in (*pod["containers"], *pod.get("initContainers", []), *pod.get("ephemeralContainers", [])):
        context = {**own, **container.get("securityContext", {})}
        capabilities = container.get("securityContext", {}).get("capabilities", {})
        checks = {
            "privileged": not context.get("privileged"),
            "capabilities": "ALL" in capabilities.get("drop", []),
            "capabilities added": set(capabilities.get("add", [])) <= {"NET_BIND_SERVICE"},
            "hostPorts": not any(port.get("hostPort") for port in container.get("ports", [])),
            "allowPrivilegeEscalation": context.get("allowPrivilegeEscalation") is False,
            "runAsNonRoot": context.get("runAsNonRoot") is True,
            "runAsUser": context.get("runAsUser") != 0,
            "seccompProfile": context.get("seccompProfile", {}).get("type") in ("RuntimeDefault", "Localhost"),
            "procMount": context.get("procMount", "Default") == "Default",
            "seLinux and AppArmor": not ({"seLinuxOptions", "appArmorProfile"} & set(context)),
        }
        broken |= {name for name, holds in checks.items() if not holds}
    return broken


def test_the_pod_meets_the_restricted_standard() -> None:
    assert not violations(POD)
    labels = of_kind("Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert KUSTOMIZATION["namespace"] == of_kind("Namespace")["metadata"]["name"]


@pytest.mark.parametrize(
    ("change", "rule"),
    [
        ({"hostNetwork": True}, "hostNetwork"),
        ({"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}, "volumes"),
        ({"containers": [{**CONTAINER, "securityContext": {}}]}, "capabilities"),
        ({"securityContext": {"runAsNonRoot": True}}, "seccompProfile"),
        ({"containers": [{**CONTAINER, "ports": [{"hostPort": 80}]}]}, "hostPorts"),
    ],
)
def test_the_check_of_the_standard_finds_violations(change: dict, rule: str) -> None:
    assert rule in violations({**POD, **change})


def test_rules_of_kubescape_and_polaris() -> None:
    """Those that go beyond the standard, by their names; docs/DEPLOY.md lists the one that is not met."""
    spec, resources = of_kind("Deployment")["spec"], CONTAINER["resources"]
    rules = {
        "readOnlyRootFilesystem": CONTAINER["securityContext"]["readOnlyRootFilesystem"],
        "user and group are numbers above 10000": min(POD["securityContext"][k] for k in ("runAsUser", "runAsGroup"))
        > 10000,
        "no service account token": POD["automountServiceAccountToken"] is False,
        "a service account of its own": POD["serviceAccountName"] == of_kind("ServiceAccount")["metadata"]["name"],
        "requests": set(resources["requests"]) == {"cpu", "memory", "ephemeral-storage"},
        "limits": set(resources["limits"]) == {"memory", "ephemeral-storage"},
        "probes": {"startupProbe", "readinessProbe", "livenessProbe"} <= set(CONTAINER),
        "readiness is not liveness": CONTAINER["readinessProbe"] != CONTAINER["livenessProbe"],
        "several replicas": spec["replicas"] > 1,
        "spread over nodes and zones": len(POD["topologySpreadConstraints"]) == 2,
        "a disruption budget": of_kind("PodDisruptionBudget")["spec"]["minAvailable"] >= 1,
        "no secrets in the environment": "env" not in CONTAINER,
        "ingress and egress restricted": set(of_kind("NetworkPolicy")["spec"]["policyTypes"]) == {"Ingress", "Egress"},
        "ingress names its sources": all(rule["from"] for rule in of_kind("NetworkPolicy")["spec"]["ingress"]),
        "no egress": of_kind("NetworkPolicy")["spec"]["egress"] == [],
        "no service variables": POD["enableServiceLinks"] is False,
        "a pause before SIGTERM within the grace": POD["terminationGracePeriodSeconds"]
        > int(CONTAINER["lifecycle"]["preStop"]["exec"]["command"][1]) + 30,
    }
    assert [name for name, holds in rules.items() if not holds] == []


def test_the_systemd_unit_is_closed_down(tmp_path: Path) -> None:
    unit = (DEPLOY / "foveal.service").read_text()
    for name in ("LimitNOFILE", "MemoryMax", "TasksMax", "SystemCallFilter", "RestrictAddressFamilies"):
        assert re.search(rf"^{name}=\S", unit, re.M), name
    for name in ("ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs", "NoNewPrivileges"):
        assert f"\n{name}=yes\n" in unit
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd-analyze is not installed")
    (tmp_path / "foveal.service").write_text(unit)
    command = ["systemd-analyze", "security", "--offline=true", "--threshold=25", str(tmp_path / "foveal.service")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


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


def test_compose_is_closed_down_and_mounts_files_that_exist() -> None:
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    for name, service in compose["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert source in compose["volumes"] or (DEPLOY / source).exists(), volume
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert {"pids_limit", "mem_limit"} <= set(service), name
        assert name == "foveal" or all(port.startswith("127.0.0.1:") for port in service["ports"]), name
    assert ":?" in compose["services"]["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"]
    (scrape,) = yaml.safe_load((DEPLOY / "prometheus.yaml").read_text())["scrape_configs"]
    (secret,) = compose["secrets"]
    assert scrape["authorization"]["credentials_file"] == f"/run/secrets/{secret}"
