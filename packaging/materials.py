#!/usr/bin/env python3
"""packaging/materials.py TARGET SBOM THIRD-PARTY: writes what the program is made of, for a target: a bill of materials
(CycloneDX 1.5, JSON) and the licences of the libraries, with their texts. From `cargo metadata` and Cargo.lock alone; the same
commit gives the same bytes."""

import hashlib
import json
import os
import re
import subprocess
import sys
import time
import tomllib
import uuid
from pathlib import Path

STANDARD_LICENCE = "MIT OR Apache-2.0"
LICENCE_FILE = re.compile(r"^(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)


def linked(metadata):
    """The packages whose code is in the program: neither for tests nor for building alone, and no procedural macros' own."""
    packages = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    root = metadata["resolve"]["root"]
    edges, left = {}, [root]
    while left:
        here = left.pop()
        if here in edges:
            continue
        to = []
        for dependency in nodes[here]["deps"]:
            kinds = {kind["kind"] for kind in dependency["dep_kinds"]}
            target = packages[dependency["pkg"]]
            is_macro = any("proc-macro" in part["kind"] for part in target["targets"])
            if None in kinds and not is_macro:
                to.append(dependency["pkg"])
        edges[here] = sorted(to)
        left.extend(to)
    return root, packages, edges


def licence(package):
    # An older form of "or".
    return re.sub(r"\s*/\s*", " OR ", package["license"] or "")


def rust():
    compiler = os.environ.get("TETHERD_COMPILER", "rustc")
    return subprocess.run([compiler, "--version"], check=True, capture_output=True, text=True).stdout.split()[1]


def reference(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def bill(root, packages, edges, checksums, when):
    components = []
    for name in sorted((reference(packages[id]), id) for id in edges if id != root):
        package = packages[name[1]]
        checksum = checksums.get((package["name"], package["version"]))
        component = {
            "type": "library",
            "bom-ref": reference(package),
            "name": package["name"],
            "version": package["version"],
            "purl": reference(package),
            "licenses": [{"expression": licence(package)}],
        }
        if checksum:
            component["hashes"] = [{"alg": "SHA-256", "content": checksum}]
        if package.get("description"):
            component["description"] = " ".join(package["description"].split())
        if package.get("repository"):
            component["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
        components.append(component)
    components.append(
        {
            "type": "library",
            "bom-ref": "rust-std",
            "name": "rust-std",
            "description": "The Rust standard library",
            "version": rust(),
            "licenses": [{"expression": STANDARD_LICENCE}],
        }
    )
    own = packages[root]
    body = json.dumps(components, sort_keys=True)
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        # A name for these contents, not for this run.
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, body).urn,
        "version": 1,
        "metadata": {
            "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(when)),
            "component": {
                "type": "application",
                "bom-ref": reference(own),
                "name": own["name"],
                "version": own["version"],
                "licenses": [{"expression": licence(own)}],
            },
        },
        "components": components,
        "dependencies": [
            {"ref": reference(packages[id]), "dependsOn": sorted(reference(packages[to]) for to in edges[id])}
            for id in sorted(edges, key=lambda id: reference(packages[id]))
        ],
    }


def third_party(root, packages, edges):
    """Each library with its licence; each text once, after the names of those that it is of."""
    lines = ["tetherd holds these libraries, each under a licence of its own; the texts follow.", ""]
    texts, without = {}, []
    for id in sorted((id for id in edges if id != root), key=lambda id: reference(packages[id])):
        package = packages[id]
        name = f"{package['name']} {package['version']}"
        lines.append(f"  {name:<34} {licence(package)}")
        folder = Path(package["manifest_path"]).parent
        found = sorted(file for file in folder.iterdir() if file.is_file() and LICENCE_FILE.match(file.name))
        for file in found:
            text = file.read_text(encoding="utf-8", errors="replace").replace("\r\n", "\n").strip("\n")
            entry = texts.setdefault(hashlib.sha256(text.encode()).hexdigest(), (text, []))
            if name not in entry[1]:
                entry[1].append(name)
        if not found:
            without.append(name)
    lines.append(f"  {'the Rust standard library ' + rust():<34} {STANDARD_LICENCE}")
    if without:
        lines += ["", "Without a text of their own in what they publish (the licence above is what they state):"]
        lines += [f"  {name}" for name in without]
    for text, names in sorted(texts.values(), key=lambda entry: entry[1]):
        lines += ["", "-" * 78, f"Of {', '.join(names)}:", "", text]
    return "\n".join(lines) + "\n"


def main():
    target, sbom, licences = sys.argv[1:]
    command = ["cargo", "metadata", "--locked", "--format-version", "1", "--filter-platform", target]
    metadata = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    with open("Cargo.lock", "rb") as file:
        lock = tomllib.load(file)
    checksums = {(p["name"], p["version"]): p.get("checksum") for p in lock["package"]}
    root, packages, edges = linked(metadata)
    missing = [packages[id]["name"] for id in edges if not licence(packages[id])]
    if missing:
        sys.exit(f"packaging/materials.py: no licence is stated by: {', '.join(missing)}")
    when = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    document = bill(root, packages, edges, checksums, when)
    Path(sbom).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    Path(licences).write_text(third_party(root, packages, edges), encoding="utf-8")


main()
