"""Holds messages in all forms against schemas and parsers that were not written here.

usage: check.py MESSAGES

Each line of MESSAGES is an object: `format`, `most` (bytes), `body`, and `line`, the line of the spool that the body was
made from. An OCSF event must validate against the schema 1.8.0 with exactly the profiles that it claims; structured data
must be read by syslog-rfc5424-parser; CEF by pycef and, where it is installed, by liblognorm. What is read back must be
what the spool's line says. Prints what is wrong; exit code 1 if anything is.
"""

import functools
import json
import logging
import re
import shutil
import subprocess
import sys
import tempfile
import unicodedata

import pycef
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema
from syslog_rfc5424_parser import SyslogMessage

OCSF = get_ocsf_schema("1.8.0")
# What AWS Security Hub takes: an event is to be valid there, too, but for the version that it names.
OLDER = get_ocsf_schema("1.6.0")
CLASSES = {0: "base_event", 2004: "detection_finding"}
HEADER = "<82>1 2026-11-24T03:50:18.131Z node-7 tetherd 4711 finding "
# Format characters (Cf) belong to scripts and emoji, too; only those that move text about are kept out.
BIDIRECTIONAL = {chr(code) for code in [*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F]}


def fields_of(line):
    """What every form has to say of a line."""
    finding = json.loads(line)["finding"]
    properties = finding["sourceProperties"]
    connection = (finding.get("connections") or [{}])[0]
    return {
        "id": finding["name"].rsplit("/", 1)[1],
        "seq": properties["Sequence"],
        "state": finding["state"],
        "description": finding["description"],
        "node": properties.get("VM_Instance_Name"),
        "is_finding": finding["findingClass"] == "THREAT",
        "severity": finding.get("severity"),
        "peer": connection.get("destinationIp"),
        "inbound": properties.get("Tether_Direction") == "inbound",
        "container": properties.get("Container_Id"),
        "properties": properties,
    }


def differ(what, got, want):
    return [] if got == want else [f"{what} is {got!r}, not {want!r}"]


@functools.cache
def validator(version, uid, profiles):
    schemas = {"1.8.0": OCSF, "1.6.0": OLDER}
    schema = OcsfJsonSchemaEmbedded(schemas[version]).get_class_schema(CLASSES[uid], list(profiles))
    return Draft202012Validator(schema)


def at(value, path):
    """The values at a path like evidences[].process.pid."""
    for part in path.split("."):
        name, is_list = part.removesuffix("[]"), part.endswith("[]")
        found = value if isinstance(value, list) else [value]
        value = [one[name] for one in found if isinstance(one, dict) and name in one]
        if is_list:
            value = [item for one in value for item in one]
    return value if isinstance(value, list) else [value]


def ocsf(body, want, most):
    event = json.loads(body)
    profiles = event["metadata"].get("profiles", [])
    known = OCSF["classes"][CLASSES[event["class_uid"]]]["profiles"] or []
    problems = [f"the class has no profile {profile}" for profile in profiles if profile not in known]
    for version in ("1.8.0", "1.6.0"):
        for error in validator(version, event["class_uid"], tuple(profiles)).iter_errors(event):
            place = "/".join(str(part) for part in error.absolute_path)
            problems.append(f"{version}: {place}: {error.message[:300]}")
    problems += differ("type_uid", event["type_uid"], event["class_uid"] * 100 + event["activity_id"])
    problems += differ("class_uid", event["class_uid"], 2004 if want["is_finding"] else 0)
    problems += differ("sequence", event["metadata"]["sequence"], int(want["seq"]))
    problems += differ("event's id", event["metadata"]["uid"], f"{want['id']}-{want['seq']}")
    for one in event.get("observables", []):
        if one["value"] not in at(event, one["name"]):
            problems.append(f"the observable {one['name']} does not lead to {one['value']}")
    if not want["is_finding"]:
        for key, value in want["properties"].items():
            if key.startswith(("Losses", "First_", "Dropped")) and most >= 7000:
                problems += differ(key, event["unmapped"].get(key), value)
        return problems
    problems += differ("finding's id", event["finding_info"]["uid"], want["id"])
    ids = {"CRITICAL": 5, "HIGH": 4, "MEDIUM": 3, "LOW": 2}
    problems += differ("severity_id", event["severity_id"], ids[want["severity"]])
    if most >= 7000:
        process = at(event, "evidences[].process")[0]
        problems += differ("container", process.get("container", {}).get("uid"), want["container"])
        problems += differ("profile container", "container" in profiles, want["container"] is not None)
        end = "src_endpoint" if want["inbound"] else "dst_endpoint"
        problems += differ("peer", event["evidences"][0].get(end, {}).get("ip"), want["peer"])
    return problems


def rfc5424(body, want, most):
    message = SyslogMessage.parse(HEADER + body)
    # The parser leaves the escapes as they are.
    elements = {
        name: {key: re.sub(r"\\([\"\\\]])", r"\1", value) for key, value in parameters.items()}
        for name, parameters in message.sd.items()
    }
    own = elements["tetherd@32473"]
    problems = differ("sequenceId", elements["meta"]["sequenceId"], want["seq"])
    problems += differ("seq", own["seq"], want["seq"]) + differ("id", own["id"], want["id"])
    problems += differ("state", own["state"], want["state"])
    if own.get("truncated") != "true":
        problems += differ("message", message.msg.lstrip(" "), want["description"])
        problems += differ("peer_ip", own.get("peer_ip"), want["peer"])
    return problems


def cef(body, want, most):
    problems = []
    for name, fields in (("pycef", pycef.parse(body)), ("liblognorm", lognorm(body))):
        if fields is None:
            problems.append(f"{name} does not take it")
            continue
        if not fields:
            continue
        problems += differ(f"{name}: externalId", fields.get("externalId"), want["id"])
        problems += differ(f"{name}: sequence", fields.get("sequence", fields.get("cn1")), want["seq"])
        problems += differ(f"{name}: vendor", fields["DeviceVendor"], "tetherd")
        ids = {"CRITICAL": "10", "HIGH": "8", "MEDIUM": "5", "LOW": "3", None: "1"}
        problems += differ(f"{name}: severity", fields["Severity"], ids[want["severity"]])
        if fields.get("truncated") == "true":
            continue
        # pycef leaves the escapes as they are, and names a field by its label.
        plain = {key: unescape(value) if name == "pycef" else value for key, value in fields.items()}
        problems += differ(f"{name}: msg", plain.get("msg"), want["description"].encode()[:1023].decode(errors="ignore"))
        side, long = ("src", "Source") if want["inbound"] else ("dst", "Destination")
        six = plain.get(f"{long} IPv6 Address" if name == "pycef" else {"src": "c6a2", "dst": "c6a3"}[side])
        problems += differ(f"{name}: peer", plain.get(side, six), want["peer"])
        if side in plain and ":" in plain[side]:
            problems.append(f"{name}: {side} is no IPv4 address")
    return problems


def unescape(text):
    return re.sub(r"\\([\\=nr])", lambda found: {"n": "\n", "r": "\r"}.get(found[1], found[1]), text)


def lognorm(body):
    """The fields as liblognorm reads them: nothing where it is not installed, None where it refuses."""
    if body not in LOGNORM:
        return {}
    found = LOGNORM[body]
    if found is None:
        return None
    found = dict(found)
    extensions = dict(found.pop("Extensions"))
    # liblognorm 2.0.6 eats the first letter of the first key.
    if "t" in extensions:
        extensions["rt"] = extensions.pop("t")
    return found | extensions


LOGNORM = {}


def ask_lognorm(bodies):
    program = shutil.which("lognormalizer")
    if program is None:
        return
    with tempfile.NamedTemporaryFile("w", suffix=".rb") as rules:
        rules.write("version=2\nrule=:%f:cef%\n")
        rules.flush()
        text = "".join(body + "\n" for body in bodies)
        run = subprocess.run([program, "-r", rules.name, "-e", "json"], input=text.encode(), capture_output=True)
    answers = run.stdout.decode().splitlines()
    if len(answers) != len(bodies):
        sys.exit(f"lognormalizer gave {len(answers)} answers to {len(bodies)} lines: {run.stderr.decode()[:500]}")
    for body, answer in zip(bodies, answers):
        LOGNORM[body] = json.loads(answer).get("f")


def compact(body, want, most):
    fields = json.loads(body.removeprefix("@cee: "))
    problems = differ("id", fields["id"], want["id"]) + differ("seq", fields["seq"], int(want["seq"]))
    lists = [key for key, value in fields.items() if isinstance(value, (dict, list))]
    return problems + [f"{key} is not flat" for key in lists]


def scc(body, want, most):
    return compact(body, want, most) if body.startswith("@cee: ") else []


FORMS = {"scc": scc, "compact": compact, "ocsf": ocsf, "rfc5424": rfc5424, "cef": cef}


def main():
    logging.disable(logging.CRITICAL)
    with open(sys.argv[1], encoding="utf-8", newline="\n") as file:
        messages = [json.loads(line) for line in file]
    ask_lognorm([message["body"] for message in messages if message["format"] == "cef"])
    wrong, counts = [], dict.fromkeys(FORMS, 0)
    for message in messages:
        form, body, most = message["format"], message["body"], message["most"]
        counts[form] += 1
        problems = [] if len(body.encode()) <= most else [f"{len(body.encode())} bytes"]
        if body != message["line"]:
            hidden = [c for c in body if unicodedata.category(c) == "Cc" or c in BIDIRECTIONAL]
            problems += [f"a control character: {hidden[0]!r}"] if hidden else []
        try:
            problems += FORMS[form](body, fields_of(message["line"]), most)
        except Exception as error:  # whatever a parser throws is its refusal
            problems.append(f"refused: {type(error).__name__}: {str(error)[:300]}")
        wrong += [f"{form} of {most}: {problem}: {body[:200]}" for problem in problems]
    if 0 in counts.values():
        wrong.append(f"a form was not checked: {counts}")
    for sentence in wrong:
        print(sentence)
    by = "with" if LOGNORM else "without"
    print(f"{len(messages)} messages, {by} liblognorm, {len(wrong)} problems")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
