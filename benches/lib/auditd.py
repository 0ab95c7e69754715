"""auditd with one rule (every execve) and its log in a folder of its own; the kernel's auditing is left off.

Once auditing has been on, the kernel gives an audit context to every new process until the next boot, unless a rule
says `never,task`. So that nobody else pays for that in this run, `spared` holds such a rule whenever auditd is not at
work; afterwards the rules are as they were.
"""
import contextlib
import os
import shutil
import subprocess

from lib import child

SPARE = ["never,task"]
SPARING = "-a never,task"
RULE = ["always,exit", "-F", "arch=b64", "-S", "execve"]
BACKLOG = 8192
CONFIG = """
local_events = yes
write_logs = yes
log_file = {folder}/audit.log
log_format = RAW
flush = INCREMENTAL_ASYNC
freq = 50
max_log_file = 50
num_logs = 2
max_log_file_action = ROTATE
space_left = 75
space_left_action = IGNORE
admin_space_left = 50
admin_space_left_action = IGNORE
disk_full_action = IGNORE
disk_error_action = IGNORE
verify_email = no
plugin_dir = {folder}/plugins.d
"""


def auditctl(*arguments):
    done = subprocess.run(["auditctl", *arguments], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return done.stdout if done.returncode == 0 else ""


def state():
    """What `auditctl -s` says, by word."""
    return dict(line.split(None, 1) for line in auditctl("-s").splitlines() if len(line.split()) > 1)


def is_free():
    """Whether nobody uses the kernel's auditing: it is off, without a daemon, and without rules but the sparing one."""
    now = state()
    return now.get("enabled") == "0" and now.get("pid") == "0" and rules() in ("No rules", SPARING)


def rules():
    return auditctl("-l").strip()


@contextlib.contextmanager
def spared():
    if not (shutil.which("auditctl") and is_free()) or rules() == SPARING:
        yield
        return
    auditctl("-a", *SPARE)
    try:
        yield
    finally:
        auditctl("-d", *SPARE)


@contextlib.contextmanager
def running(folder):
    os.makedirs(os.path.join(folder, "plugins.d"), mode=0o750)
    with open(os.path.join(folder, "auditd.conf"), "w") as file:
        os.fchmod(file.fileno(), 0o640)
        file.write(CONFIG.format(folder=folder))
    backlog = state()["backlog_limit"]
    auditctl("-d", *SPARE)
    try:
        with child.running(["auditd", "-n", "-s", "enable", "-c", folder], stderr=subprocess.DEVNULL) as process:
            auditctl("-b", str(BACKLOG))
            auditctl("-a", *RULE)
            yield process
            auditctl("-d", *RULE)
    finally:
        auditctl("-d", *RULE)
        auditctl("-e", "0")
        auditctl("-b", backlog)
        auditctl("-a", *SPARE)
