#!/usr/bin/env python3
"""packaging/oci.py ROOT ARCHITECTURE NAME FILE: makes a container image of one layer of a directory, as an OCI image layout in a
tar archive (OCI image specification 1.1), with the file that `docker save` writes beside it, so that docker and podman load it as
well. Owners are root, times are SOURCE_DATE_EPOCH's, the order is that of the names."""

import gzip
import hashlib
import io
import json
import os
import sys
import tarfile
import time

WHEN = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))


def member(name, size=0, mode=0o644, kind=tarfile.REGTYPE):
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.type, info.mtime = size, mode, kind, WHEN
    return info


def layer(root):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for folder, folders, files in os.walk(root):
            folders.sort()
            for name in sorted(folders + files):
                path = os.path.join(folder, name)
                inside = os.path.relpath(path, root)
                mode = os.stat(path).st_mode & 0o7777
                if os.path.isdir(path):
                    archive.addfile(member(inside, mode=0o1777 if inside == "tmp" else mode, kind=tarfile.DIRTYPE))
                    continue
                with open(path, "rb") as file:
                    archive.addfile(member(inside, os.path.getsize(path), mode), file)
    return buffer.getvalue()


def main():
    root, architecture, name, target = sys.argv[1:]
    blobs = {}

    def blob(data, kind):
        digest = hashlib.sha256(data).hexdigest()
        blobs[f"blobs/sha256/{digest}"] = data
        return {"mediaType": f"application/vnd.oci.image.{kind}", "digest": f"sha256:{digest}", "size": len(data)}

    plain = layer(root)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", mtime=0, compresslevel=9) as file:
        file.write(plain)
    layers = [blob(packed.getvalue(), "layer.v1.tar+gzip")]
    created = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(WHEN))
    labels = {
        "org.opencontainers.image.title": "tetherd",
        "org.opencontainers.image.version": name.partition(":")[2],
        "org.opencontainers.image.licenses": "MIT OR Apache-2.0",
    }
    config = blob(
        json.dumps(
            {
                "created": created,
                "architecture": architecture,
                "os": "linux",
                "config": {
                    "Entrypoint": ["/usr/bin/tetherd"],
                    "Cmd": ["run", "--quiet"],
                    "Env": ["PATH=/usr/bin", "LANG=C.UTF-8"],
                    "WorkingDir": "/",
                    "Labels": labels,
                },
                "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(plain).hexdigest()}"]},
                "history": [{"created": created, "created_by": "packaging/image"}],
            }
        ).encode(),
        "config.v1+json",
    )
    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": config,
        "layers": layers,
    }
    described = blob(json.dumps(manifest).encode(), "manifest.v1+json")
    # What containerd calls it.
    described["annotations"] = {
        "io.containerd.image.name": f"localhost/{name}",
        "org.opencontainers.image.ref.name": name.partition(":")[2],
    }
    described["platform"] = {"architecture": architecture, "os": "linux"}
    path = lambda entry: "blobs/sha256/" + entry["digest"].partition(":")[2]
    files = {
        "oci-layout": json.dumps({"imageLayoutVersion": "1.0.0"}).encode(),
        "index.json": json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.index.v1+json",
                "manifests": [described],
            }
        ).encode(),
        "manifest.json": json.dumps(
            [{"Config": path(config), "RepoTags": [f"localhost/{name}"], "Layers": [path(entry) for entry in layers]}]
        ).encode(),
    }
    with tarfile.open(target, "w", format=tarfile.PAX_FORMAT) as archive:
        for folder in ("blobs", "blobs/sha256"):
            archive.addfile(member(folder, mode=0o755, kind=tarfile.DIRTYPE))
        for inside, data in sorted((blobs | files).items()):
            archive.addfile(member(inside, len(data)), io.BytesIO(data))


main()
