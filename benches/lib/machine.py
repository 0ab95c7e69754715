"""The machine that is measured on, in one line."""
import os
import subprocess

from lib import daemon


def describe():
    kernel, load = os.uname().release, os.getloadavg()[0]
    version = subprocess.run([daemon.BINARY, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    text = f"{version}, Linux {kernel}, {os.cpu_count()} processors, load {load:.1f} at the start"
    return text + (": other work is going on, so the noise is large" if load > 0.3 else "")
