# What the scripts about the installed package share, beside lib.sh: `row`, and a machine that is ready for it. What is printed is
# `row<TAB>ok|FAILED<TAB>WHAT<TAB>VALUE`; tests/vm/package makes a table of it.

cd /
export DEBIAN_FRONTEND=noninteractive
bad=0

# row WHAT VALUE PATTERN: the value has to be like the pattern.
row() {
    local outcome=ok
    # shellcheck disable=SC2053
    [[ $2 == $3 ]] || outcome=FAILED bad=1
    printf 'row\t%s\t%s\t%s\n' "$outcome" "$1" "$(tr '\n\t' '  ' <<<"$2")"
}
# Hundredths of a second since the start of the machine.
now() { local up; read -r up _ </proc/uptime && echo "${up/./}"; }
seconds_since() { local took=$(($(now) - $1)); printf '%d.%02d s' $((took / 100)) $((took % 100)); }
# within SECONDS COMMAND...: again and again until it ends well.
within() {
    local end=$((SECONDS + $1))
    shift
    until "$@" >/dev/null 2>&1; do
        [ "$SECONDS" -lt "$end" ] || return 1
        sleep 0.1
    done
}
active() { systemctl -q is-active tetherd; }
pid() { systemctl show -P MainPID tetherd; }
answers() { tetherd status --json >/dev/null 2>&1; }
words() { tr -s ' \n\t' ' ' <<<"$*"; }
# try COMMAND...: its exit code, and, where that is not 0, what it said last.
try() {
    local code=0
    "$@" >/tmp/tried 2>&1 || code=$?
    if [ "$code" = 0 ]; then echo 0; else echo "$code: $(tail -n 3 /tmp/tried)"; fi
}
install_package() { apt-get install -y -q "$1"; }
# found CASE: what a case of lib.sh's `attack` came to, in a few words.
found() {
    python3 - "$1" <<'PYTHON'
import json, sys
case = sys.argv[1]
for line in open("/tmp/said"):
    kind, name, rest = line.rstrip("\n").split(" ", 2)
    if name == case and kind == "record":
        finding = json.loads(rest)["finding"]
        properties = finding["sourceProperties"]
        print(finding["severity"], finding["state"], properties.get("Container_Runtime", "host"),
              properties["Tether_Direction"], json.dumps(properties["Process_Observations"], sort_keys=True))
    elif name == case and kind == "failed":
        print("failed:", rest)
PYTHON
}

# As on a machine that keeps its manual pages and documents; mmdebstrap made this one without.
rm -f /etc/dpkg/dpkg.cfg.d/99mmdebstrap
systemctl -q enable --now rsyslog
mkdir -p /srv/box/{bin,dev,etc,proc,sys,tmp}
cp /bin/busybox /srv/box/bin/ && chroot /srv/box /bin/busybox --install -s /bin
echo 'root:x:0:0:root:/:/bin/sh' >/srv/box/etc/passwd
