"""A large spool: copies of one real record, numbered and chained as tetherd does."""
import hashlib
import json
import os

SEGMENT = 16 << 20


def fill(spool, record, size):
    """Writes about `size` bytes into a new spool directory; the record is a parsed line."""
    os.makedirs(spool, mode=0o750)
    os.chmod(spool, 0o750)
    previous, sequence, total = "0" * 64, 1, 0
    finding = record["finding"]
    properties = finding["sourceProperties"]
    parent = finding["name"].rsplit("/", 1)[0]
    finding["state"] = "INACTIVE"
    while total < size:
        written = 0
        with open(os.path.join(spool, f"findings-{sequence:012}.jsonl"), "wb") as file:
            os.fchmod(file.fileno(), 0o640)
            while written < SEGMENT and total < size:
                finding["name"] = f"{parent}/{sequence:032x}"
                finding["canonicalName"] = finding["name"].replace("organizations/0", "projects/0")
                properties["Sequence"] = str(sequence)
                properties["Previous_Record_Sha256"] = previous
                line = json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode()
                previous = hashlib.sha256(line).hexdigest()
                file.write(line + b"\n")
                written += len(line) + 1
                total += len(line) + 1
                sequence += 1
    return sequence - 1
