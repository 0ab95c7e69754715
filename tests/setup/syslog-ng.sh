#!/bin/sh
# Makes target/test-tools/syslog-ng: Debian's syslog-ng, unpacked beside the system and never installed, because its
# package conflicts with rsyslog's, which the tests use too. Does nothing where it is there already. Run from anywhere;
# tests/run calls it.
set -eu

cd "$(dirname "$0")/../.."
root=target/test-tools/syslog-ng
daemon=$root/usr/sbin/syslog-ng

if [ -x "$daemon" ]; then
    exit 0
fi
work=$root.new
rm -rf "$work"
mkdir -p "$work"/packages
# The daemon and those of its libraries, theirs included, that this system lacks; elogind's only stands in for systemd's.
libraries=$(apt-cache depends --recurse --no-recommends --no-suggests --no-conflicts --no-breaks --no-replaces \
    --no-enhances syslog-ng-core | grep '^lib' | grep -v elogind | sort -u)
wanted=syslog-ng-core
for library in $libraries; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$library" 2>/dev/null)" = installed ] || wanted="$wanted $library"
done
# apt's own user need not be able to write here.
# The list is split on purpose.
# shellcheck disable=SC2086
(cd "$work"/packages && apt-get download -q -o APT::Sandbox::User=root $wanted)
for package in "$work"/packages/*.deb; do
    dpkg -x "$package" "$work"
done
rm -rf "$work"/packages "$root"
mv "$work" "$root"
