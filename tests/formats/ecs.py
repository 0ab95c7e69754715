"""Runs conf/forwarders/elasticsearch/pipeline.json over lines of a spool, and holds what comes out against the Elastic Common Schema.

usage: ecs.py LINES [SCHEMA]

LINES has one line of a spool on each line. The fields that the pipeline may make, and their types, are in ecs-9.4.0.tsv, taken
from the npm package @elastic/ecs 9.4.0; with SCHEMA, which is that package's folder `generated` (the schema as TypeScript), they
are read from there, and that file is held against it. Elasticsearch is not to be had here: the processors that the pipeline
uses are carried out as its documentation says, and nothing else is. Prints what is wrong; exit code 1 if anything is.
"""

import copy
import json
import pathlib
import re
import sys

PIPELINE = pathlib.Path(__file__).resolve().parents[2] / "conf" / "forwarders" / "elasticsearch" / "pipeline.json"
FIELDS = pathlib.Path(__file__).with_name("ecs-9.4.0.tsv")
SEVERITIES = {"LOW": 21, "MEDIUM": 47, "HIGH": 73, "CRITICAL": 99}


class Failed(Exception):
    """A processor that fails: Elasticsearch goes to on_failure."""


def get(document, path):
    """The value at a path, whose numbers are places in lists; None where there is none."""
    for part in path.split("."):
        if isinstance(document, list):
            document = document[int(part)] if part.isdigit() and int(part) < len(document) else None
        elif isinstance(document, dict):
            document = document.get(part)
        else:
            return None
    return document


def put(document, path, value):
    *parents, last = path.split(".")
    for part in parents:
        document = document.setdefault(part, {})
    document[last] = value


def filled(template, document):
    """Mustache, of what is not to be escaped."""
    if isinstance(template, list):
        return [filled(one, document) for one in template]
    if not isinstance(template, str):
        return template
    return re.sub(r"{{{(.+?)}}}", lambda found: str(get(document, found[1]) or ""), template)


TERM = re.compile(r"ctx((?:\??\.\w+|\[\d+\])+?)(?: (==|!=) (null|true|false|'[^']*')|\.contains\('([^']*)'\))")

NOT_EMPTY = re.compile(r"!ctx((?:\??\.\w+|\[\d+\])+?)\.isEmpty\(\)")


def holds(condition, document):
    """A condition of the few kinds that the pipeline has. A member of nothing fails, as in Painless, unless asked for with `?.`."""
    for term in condition.split(" && "):
        found, listed = TERM.fullmatch(term), NOT_EMPTY.fullmatch(term)
        if not found and not listed:
            raise ValueError(f"no such condition is known here: {term}")
        path, operator, word, contained = found.groups() if found else (listed[1], None, None, None)
        value = document
        for safe, member, place in re.findall(r"(\??)\.(\w+)|\[(\d+)\]", path):
            if value is None:
                if not safe:
                    raise Failed(f"null pointer in {term}")
            else:
                value = value[int(place)] if place else value.get(member)
        if listed:
            true = len(value) > 0
        elif contained is not None:
            true = contained in value
        else:
            constant = {"null": None, "true": True, "false": False}.get(word, word.strip("'"))
            true = (value == constant) == (operator == "==")
        if not true:
            return False
    return True


def convert(value, kind):
    return int(value) if kind == "long" else str(value)


def carry_out(kind, what, document):
    source = what.get("copy_from", what.get("field"))
    target = what.get("target_field", what.get("field"))
    if kind == "fail":
        raise Failed(what["message"])
    if kind == "set":
        value = get(document, source) if "copy_from" in what else filled(what["value"], document)
        if value in (None, "") and what.get("ignore_empty_value"):
            return
        put(document, target, copy.deepcopy(value))
    elif kind == "append":
        put(document, target, (get(document, target) or []) + filled(what["value"], document))
    elif kind in ("convert", "lowercase", "gsub"):
        value = get(document, source)
        if value is None:
            if not what["ignore_missing"]:
                raise Failed(f"{source} is missing")
            return
        if kind == "convert":
            value = convert(value, what["type"])
        elif kind == "lowercase":
            value = value.lower()
        else:
            value = re.sub(what["pattern"], what["replacement"], value)
        put(document, target, value)
    else:
        raise ValueError(f"no such processor is known here: {kind}")


def run(pipeline, document):
    try:
        for processor in pipeline["processors"]:
            ((kind, what),) = processor.items()
            if "if" not in what or holds(what["if"], document):
                carry_out(kind, what, document)
    except Failed as failed:
        document["_ingest"] = {"on_failure_message": str(failed)}
        for processor in pipeline["on_failure"]:
            ((kind, what),) = processor.items()
            carry_out(kind, what, document)
        del document["_ingest"]
    return document


def schema(folder):
    """Each field of the schema with its TypeScript type."""
    files = {}
    for path in folder.glob("*.ts"):
        text = re.sub(r"/\*.*?\*/", "", path.read_text(), flags=re.S)
        for name, body in re.findall(r"export interface (\w+) {(.*?)\n}", text, flags=re.S):
            files[name] = body
    fields = {}

    def walk(lines, prefix):
        for line in lines:
            if found := re.fullmatch(r"\s*'?([@\w.]+)'?\??: (.*)", line):
                name, kind = prefix + found[1], found[2].rstrip(";")
                if kind == "{":
                    walk(lines, name + ".")
                elif kind.removesuffix("[]") in files:
                    walk(iter(files[kind.removesuffix("[]")].splitlines()), name + ".")
                elif (array := re.fullmatch(r"Array<(\w+)>", kind)) and array[1] in files:
                    walk(iter(files[array[1]].splitlines()), name + ".")
                else:
                    fields[name] = kind
            elif re.fullmatch(r"\s*}(?:\[\])?;?", line):
                return

    for name in files:
        if not name.startswith("Ecs"):
            continue
        group = re.sub(r"(?<!^)(?=[A-Z])", "_", name.removeprefix("Ecs")).lower()
        walk(iter(files[name].splitlines()), "" if group == "base" else f"{group}.")
    return fields


def leaves(value, prefix=""):
    for name, one in value.items():
        if isinstance(one, dict):
            yield from leaves(one, f"{prefix}{name}.")
        else:
            yield prefix + name, one


def fits(kind, value):
    if isinstance(value, list):
        return "Array<" in kind and all(fits(kind, one) for one in value)
    if isinstance(value, bool):
        return "boolean" in kind
    return ("number" in kind) if isinstance(value, (int, float)) else ("string" in kind or "'" in kind)


def judge(line, document, fields):
    """What is wrong with what the pipeline has made of a line."""
    wrong = []
    if document.get("tetherd") != json.loads(line):
        wrong.append("the record is not whole")
    made = dict(leaves({name: value for name, value in document.items() if name != "tetherd"}))
    for name, value in made.items():
        if name not in fields:
            wrong.append(f"there is no field {name}")
        elif not fits(fields[name], value):
            wrong.append(f"{name} is {value!r}, and its type {fields[name]}")
        if value in ("", [], None) or value == [""]:
            wrong.append(f"{name} is empty")
    record = json.loads(line)
    finding, properties = record["finding"], record["finding"]["sourceProperties"]
    connection = (finding.get("connections") or [{}])[0]
    inbound = properties.get("Tether_Direction") == "inbound"
    process = (finding.get("processes") or [{}])[0]
    hashed = process.get("binary", {}).get("partiallyHashed") is False
    for name, want in {
        "@timestamp": finding["createTime"],
        "event.kind": "alert" if finding["findingClass"] == "THREAT" else "event",
        "event.sequence": int(properties["Sequence"]),
        "event.id": f"{finding['name']}#{properties['Sequence']}",
        "event.severity": SEVERITIES.get(finding.get("severity")),
        "event.action": finding["category"],
        "process.pid": int(process["pid"]) if "pid" in process else None,
        "process.hash.sha256": process.get("binary", {}).get("sha256") if hashed else None,
        "process.executable": properties.get("Process_Binary_Fullpath") or None,
        "destination.ip": connection.get("sourceIp" if inbound else "destinationIp"),
        "source.port": connection.get("destinationPort" if inbound else "sourcePort"),
        "network.transport": (properties.get("Socket_Protocol") or "").lower().removesuffix("6").removesuffix("v") or None,
        "container.id": properties.get("Container_Id"),
        "orchestrator.resource.name": properties.get("Pod_Name"),
        "host.name": properties.get("VM_Instance_Name"),
    }.items():
        if made.get(name) != want:
            wrong.append(f"{name} is {made.get(name)!r}, not {want!r}")
    return wrong


def main():
    lines = pathlib.Path(sys.argv[1]).read_text().splitlines()
    fields = dict(line.split("\t") for line in FIELDS.read_text().splitlines())
    pipeline = json.loads(PIPELINE.read_text())
    bad = 0
    if len(sys.argv) > 2:
        listed, fields = fields, schema(pathlib.Path(sys.argv[2]))
        for name, kind in listed.items():
            if fields.get(name) != kind:
                bad += 1
                print(f"{FIELDS.name} has {name} as {kind}, the schema as {fields.get(name)}")
    seen = set()
    for line in lines:
        document = run(pipeline, {"tetherd": json.loads(line)})
        seen.update(name for name, _ in leaves(document) if not name.startswith("tetherd."))
        for wrong in judge(line, document, fields):
            bad += 1
            print(f"{wrong}: {line[:200]}")
    # Every field of the pipeline comes from some line.
    for processor in pipeline["processors"]:
        ((kind, what),) = processor.items()
        name = what.get("target_field", what.get("field"))
        if name and name not in seen:
            bad += 1
            print(f"no line has filled {name}")
    torn = run(pipeline, {"tetherd": {}, "error": {"type": "json"}})
    if torn["event"] != {"kind": "pipeline_error"} or not torn["error"]["message"]:
        bad += 1
        print(f"what is no record became {torn}")
    sys.exit(1 if bad else 0)


main()
