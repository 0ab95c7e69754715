"""What cargo builds for measuring."""
import json
import os
import subprocess

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")


def bench(name):
    """Builds a program of benches/ as a release is built; where it is."""
    command = ["cargo", "bench", "--bench", name, "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    found = [json.loads(line) for line in built.splitlines() if '"executable":"' in line]
    return next(one["executable"] for one in found if one["target"]["name"] == name)
