"""The table of kernels: what each virtual machine said (files of `tests/vm/kernels`), side by side, as Markdown.

Ends with 1 where a technique was not found, with what its test said on standard error.
"""

import json
import sys

kernels, techniques, checks, said = [], {}, {}, []
for path in sys.argv[1:]:
    kernel = None
    with open(path, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            kind, _, rest = line.rstrip("\n").partition(" ")
            words = rest.split(" ")
            if kind == "fact" and words[1] == "kernel":
                kernel = words[2]
                kernels.append(kernel)
            elif kind == "technique":
                mode, name, result = words
                techniques.setdefault(name, {})[kernel, mode] = result
            elif kind == "doctor":
                check = json.loads(rest)
                checks.setdefault(check["check"], {})[kernel] = f"{check['outcome']}: {check['what']}"
            elif kind == "said":
                said.append(f"{kernel} {rest}")

MODES = ("off", "notify", "hold")


def row(cells):
    print("| " + " | ".join(cells) + " |")


row(["technique", *kernels])
row(["---"] * (len(kernels) + 1))
bad = not techniques
for name, results in techniques.items():
    cells = []
    for kernel in kernels:
        got = [results.get((kernel, mode), "not run") for mode in MODES]
        bad |= any(result in ("failed", "not run") for result in got)
        cells.append(got[0] if len(set(got)) == 1 else ", ".join(f"{m}: {g}" for m, g in zip(MODES, got)))
    row([f"`{name}`", *cells])
print()
row(["`tetherd doctor`", *kernels])
row(["---"] * (len(kernels) + 1))
for name, results in checks.items():
    row([name, *(results.get(kernel, "") for kernel in kernels)])
if bad:
    print("\n".join(said), file=sys.stderr)
sys.exit(bad)
