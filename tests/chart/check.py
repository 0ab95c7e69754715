"""check.py CHART RENDER TETHERD: renders the chart with several sets of values, holds each object against Kubernetes' own schemas of
several releases, the configuration against `tetherd check-config`, and the values against the chart's schema."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import jsonschema
import kubernetes_validate
import yaml

CHART, RENDER, TETHERD = Path(sys.argv[1]), sys.argv[2], sys.argv[3]
# One that knows AppArmor by annotations alone, one that knows its field, and the newest that there are schemas of.
RELEASES = ["1.29", "1.33", ".".join(kubernetes_validate.latest_version().split(".")[:2])]

GOOD = {
    "as it comes": {},
    "hold": {"fanotify": "hold"},
    "everything": {
        "image": {"digest": "sha256:" + "0" * 64, "pullSecrets": [{"name": "registry"}]},
        "fanotify": "notify",
        "config": '[enrich]\ncri = "auto"\nlabels_max = 8\n\n[[deliver]]\nname = "siem"\ntransport = "tcp"\naddress = "siem.example:601"\n',
        "rules": {"10-own": '[[allow]]\nname = "x"\nreason = "a \\"quoted\\" reason"\nexecutable = ["/usr/bin/x"]\n'},
        "node": {"resourceName": "//c/\"x\"", "resourceDisplayName": "c: # d", "projectDisplayName": "p"},
        "syslog": {"enabled": True},
        "metrics": {"hostPath": "/var/lib/node_exporter"},
        "runtimes": ["/run/k3s/containerd", "/var/lib/docker"],
        "kubelet": "/var/lib/kubelet",
        "criSocket": "/run/containerd/containerd.sock",
        "affinity": {"nodeAffinity": {}},
        "maxUnavailable": 1,
        "podAnnotations": {"a": "b"},
        "podLabels": {"team": "security"},
    },
    "nothing of the node's": {"runtimes": [], "podLogs": "", "priorityClassName": "", "tolerations": []},
}
BAD = [
    {"fanotify": "on"},
    {"imagee": {}},
    {"rules": {"../x": ""}},
    {"config": "[syslog]\nenabled = true\n"},
    {"spool": {"hostPath": ""}},
    {"image": {"digest": "latest"}},
]


def render(values, release):
    run = subprocess.run([RENDER, str(CHART), "node", release], input=json.dumps(values), capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return {name: list(yaml.safe_load_all(text)) for name, text in json.loads(run.stdout).items()}


def merged(own):
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    for key, value in own.items():
        values[key] = values[key] | value if isinstance(values.get(key), dict) else value
    return values


def check(what, own, release):
    objects = [found for found in sum(render(own, release).values(), []) if found]
    assert {found["kind"] for found in objects} == {"DaemonSet", "ConfigMap", "ServiceAccount"}, what
    for found in objects:
        kubernetes_validate.validate(found, release, strict=True)
    by_kind = {found["kind"]: found for found in objects}
    pod = by_kind["DaemonSet"]["spec"]["template"]
    spec = pod["spec"]
    container = spec["containers"][0]
    # The runtime's usual profile would keep tetherd from looking at others.
    by_annotation = "container.apparmor.security.beta.kubernetes.io/tetherd" in pod["metadata"]["annotations"]
    assert by_annotation == (release == RELEASES[0]) != ("appArmorProfile" in container["securityContext"]), (what, release)
    assert spec["hostPID"] and spec["hostNetwork"] and not container["securityContext"]["privileged"], what
    volumes = {volume["name"] for volume in spec["volumes"]}
    mounts = [mount["name"] for mount in container["volumeMounts"]]
    assert sorted(mounts) == sorted(volumes), (what, mounts, volumes)
    held = own.get("fanotify", "off") != "off"
    assert ("IPC_LOCK" in container["securityContext"]["capabilities"]["add"]) == held, what
    # What the pod has is what the configuration names.
    data = by_kind["ConfigMap"]["data"]
    with tempfile.TemporaryDirectory() as scratch:
        rules = Path(scratch, "rules.d")
        rules.mkdir()
        for key, text in data.items():
            if key.startswith("rules."):
                (rules / key.removeprefix("rules.")).write_text(text)
        file = Path(scratch, "tetherd.toml")
        file.write_text(data["tetherd.toml"] + f'\n[rules]\ndirectory = "{rules}"\n')
        run = subprocess.run([TETHERD, "check-config", str(file)], capture_output=True, text=True, check=False)
        assert run.returncode == 0, (what, run.stdout, run.stderr)
    return by_kind


def main():
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    sums = set()
    for what, own in GOOD.items():
        jsonschema.validate(merged(own), schema)
        for release in RELEASES:
            by_kind = check(what, own, release)
        sums.add(by_kind["DaemonSet"]["spec"]["template"]["metadata"]["annotations"]["checksum/config"])
    # "hold" and "nothing of the node's" change no file.
    assert len(sums) == 2, sums
    for own in BAD:
        try:
            jsonschema.validate(merged(own), schema)
        except jsonschema.ValidationError:
            continue
        raise AssertionError(f"the schema takes {own}")
    documented = (CHART / "README.md").read_text()
    for key in yaml.safe_load((CHART / "values.yaml").read_text()):
        assert f"`{key}" in documented, f"README.md says nothing of {key}"


main()
