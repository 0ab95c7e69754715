#!/usr/bin/env python3
"""packaging/identify.py STRIPPED SYMBOLS: gives a stripped program, and the file of its debugging symbols, a build id (note
.note.gnu.build-id, 20 bytes) that is the SHA-1 of the stripped program with zeros in its place. The linker's is one of the debugging
symbols too, which know the directories that were built in."""

import hashlib
import subprocess
import sys


def place(path):
    """Where the id is in the file: behind the note's header (12 bytes) and its name ("GNU" and a zero)."""
    table = subprocess.run(["readelf", "-SW", path], check=True, capture_output=True, text=True).stdout
    for line in table.splitlines():
        words = line.replace("[", " ").replace("]", " ").split()
        if ".note.gnu.build-id" in words:
            here = words.index(".note.gnu.build-id")
            if int(words[here + 4], 16) != 36:
                sys.exit(f"packaging/identify.py: the build id of {path} has not 20 bytes")
            return int(words[here + 3], 16) + 16
    sys.exit(f"packaging/identify.py: {path} has no build id; --build-id was not given to its linker")


def main():
    stripped, symbols = sys.argv[1:]
    at = place(stripped)
    with open(stripped, "rb") as file:
        content = bytearray(file.read())
    content[at : at + 20] = bytes(20)
    identity = hashlib.sha1(content).digest()
    for path in (stripped, symbols):
        with open(path, "r+b") as file:
            file.seek(place(path))
            file.write(identity)


main()
