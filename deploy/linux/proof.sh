#!/bin/sh
# Proves the Debian packages on a clean Debian: install, enrol, run the units' own command lines
# under their users and capabilities, upgrade with a queue, remove, purge. As root; some minutes.
#
#   deploy/linux/proof.sh [--packages DIR] [--base FILE.tar]
#
# DIR holds the .deb of agent (0.1.0 and 0.2.0) and collector; without it they are built. FILE.tar
# is a base system that mmdebstrap made before. Ends with one line and 0 when all holds; 1 and the
# step when not; 2 where root or mmdebstrap is missing. Leaves nothing behind.
#
# There is no systemd in a chroot: proof-systemctl.sh starts and stops what the units say. What only
# systemd does (its file system protection) is not proved by this; the system calls that strace sees
# are compared with the units' filters.
set -eu
here=$(CDPATH='' cd "$(dirname "$0")" && pwd -P)
project=$(CDPATH='' cd "$here/../.." && pwd -P)
packages='' base=''
while [ $# -gt 0 ]; do
  case $1 in
    --packages) packages=$2; shift 2 ;;
    --base) base=$2; shift 2 ;;
    *) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
done
[ "$(id -u)" = 0 ] || { echo 'NOT TRIED: only root makes a chroot' >&2; exit 2; }
command -v mmdebstrap >/dev/null || { echo 'NOT TRIED: mmdebstrap is not installed' >&2; exit 2; }
# What is mounted below belongs to this process alone, and goes with it.
[ -n "${PROOF_INSIDE-}" ] || PROOF_INSIDE=1 exec unshare --mount "$0" ${packages:+--packages "$packages"} ${base:+--base "$base"}

work=$(mktemp -d "${TMPDIR:-/tmp}/aliquot-deb-proof.XXXXXX")
chroot=$work/root
step='' began=$(date +%s)
end() {
  code=$?
  for service in aliquot-agent aliquot-collector; do inside systemctl stop $service >/dev/null 2>&1 || true; done
  if [ $code -eq 0 ]; then
    echo "PROVED: packages of agent and collector in $(($(date +%s) - began)) s"
  else
    echo "FAILED at: $step" >&2
    for log in "$work"/*.log "$chroot"/var/log/aliquot-*.log; do
      [ ! -s "$log" ] || { echo "-- ${log##*/}"; tail -n 15 "$log"; } >&2
    done
  fi
  umount "$chroot/proc" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
inside() { chroot "$chroot" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive \
  ALIQUOT_PASSPHRASE='turnip lantern oblique harbour' ALIQUOT_KIT=/root/proof.kit ALIQUOT_URL=http://127.0.0.1:8480 \
  ALIQUOT_TOKEN="$(cat "$chroot/var/lib/aliquot-collector/admin.token" 2>/dev/null)" "$@"; }
trap end EXIT
trap 'exit 1' INT TERM
now() { step=$1; echo "$1" >&2; }
must() { "$@" || { echo "not so: $*" >&2; exit 1; }; }
until_so() {
  tries=0
  until "$@"; do tries=$((tries + 1)); must test $tries -lt 120; sleep 0.5; done
}
# A nobody of this computer asks.
status() { inside setpriv --reuid=nobody --regid=nogroup --clear-groups aliquot-agent status --json 2>"$work/status.log"; }
says() { status | grep -q "$1"; }
owners() { find "$chroot$1" ! -user "$(inside id -u "$2")" | head -n 3; }

# The system calls of a service that runs, until it ends.
watch() {
  command -v strace >/dev/null && command -v systemd-analyze >/dev/null || return 0
  strace -f -qq -o "$work/$1.calls" -p "$(cat "$chroot/run/$1.pid")" 2>/dev/null &
}
set_of() {
  systemd-analyze syscall-filter "$1" | sed -n 's/^ \{1,\}//p' | grep -v '^#' | while read -r name; do
    case $name in @*) (set_of "$name") ;; *) echo "$name" ;; esac
  done
}
# What the unit's SystemCallFilter lines let through, in their order.
allowed() {
  sed -n 's/^SystemCallFilter=//p' "$chroot/usr/lib/systemd/system/$1.service" | {
    : >"$work/allowed"
    while read -r line; do
      for name in ${line#\~}; do case $name in @*) set_of "$name" ;; *) echo "$name" ;; esac; done | LC_ALL=C sort -u >"$work/named"
      case $line in
        \~*) LC_ALL=C comm -23 "$work/allowed" "$work/named" ;;
        *) LC_ALL=C sort -u "$work/allowed" "$work/named" ;;
      esac >"$work/next"
      mv "$work/next" "$work/allowed"
    done
  }
}
filtered() {
  [ -s "$work/$1.calls" ] || { echo "NOT TRIED: strace and systemd-analyze compare system calls" >&2; return 0; }
  allowed "$1"
  # What setpriv did before Node began is not the service's.
  awk '/execve\("\/usr\/lib\// { n = 0; next } { line[n++] = $0 } END { for (i = 0; i < n; i++) print line[i] }' "$work/$1.calls" |
    sed -nE 's/^[0-9]+ +([a-z_0-9]+)\(.*/\1/p' | LC_ALL=C sort -u | LC_ALL=C comm -23 - "$work/allowed" >"$work/refused"
  must test "$(LC_ALL=C sort -u "$work/allowed" | wc -l)" -gt 200
  must test -z "$(cat "$work/refused")"
}

if [ -z "$packages" ]; then
  now 'build the packages'
  packages=$work/packages
  make="npm run --silent package -- --target linux-x64 --formats deb --out $packages"
  (cd "$project" && $make && $make --only agent --version 0.2.0) >"$work/build.log" 2>&1
fi
if command -v lintian >/dev/null; then
  now 'lintian finds no error'
  lintian --fail-on error --tag-display-limit 0 "$packages"/*.deb >"$work/lintian.log" 2>&1
fi

now 'a clean Debian'
mkdir "$chroot"
if [ -n "$base" ]; then tar -xf "$base" -C "$chroot"
else mmdebstrap --quiet --variant=minbase --include=adduser,init-system-helpers bookworm "$chroot" >"$work/base.log" 2>&1; fi
mount -t proc proc "$chroot/proc"
mkdir "$chroot/packages" && cp "$packages"/*.deb "$chroot/packages"
cp "$here/proof-systemctl.sh" "$chroot/usr/bin/systemctl" && mkdir -p "$chroot/run/systemd/system"
# All files but what any installation leaves: dpkg's own books, logs, caches, the copies that the
# system keeps of its users.
picture() { (cd "$chroot" && find . \( -path ./proc -o -path ./tmp -o -path ./packages -o -path ./root -o -path ./data \
  -o -path ./var/lib/dpkg -o -path ./var/lib/apt -o -path './etc/*-' -o -path ./var/cache -o -path ./var/log -o -path ./run \) -prune \
  -o -print | LC_ALL=C sort; cut -d: -f1 etc/passwd etc/group); }
picture >"$work/before"
inside useradd --create-home labuser
mkdir -p "$chroot/data/hplc/Run 1.D"
cp -r "$project/docs" "$project/proto/vectors" "$chroot/data/hplc"
head -c 5000000 /dev/urandom >"$chroot/data/hplc/Run 1.D/MSScan.bin"
inside chown -R labuser: /data && chmod -R go= "$chroot/data/hplc"
install() { inside apt-get install --yes --no-install-recommends "$@" >>"$work/apt.log" 2>&1; }

now 'a package over a folder install is refused in one line, and leaves nothing'
mkdir -p "$chroot/opt/aliquot-agent/versions" && touch "$chroot/opt/aliquot-agent/current"
must test "$(inside dpkg -i /packages/aliquot-agent_0.1.0_amd64.deb 2>&1 | grep -c '^aliquot-agent: .*\[FOLDER_INSTALL\]$')" = 1
must test ! -e "$chroot/usr/lib/aliquot-agent/node"
inside dpkg --purge aliquot-agent >"$work/refused.log" 2>&1
rm -r "$chroot/opt/aliquot-agent"

now 'install the collector: it is made and runs, on this machine alone'
install /packages/aliquot-collector_0.1.0_amd64.deb
watch aliquot-collector
until_so inside aliquot kit create --out /root/proof.kit --vault proof >"$work/kit.log" 2>&1
until_so inside aliquot vault add >"$work/vault.log" 2>&1
must test -z "$(owners /var/lib/aliquot-collector aliquot-collector)"

now 'install the agent, and enrol: its service begins, under its own user'
install /packages/aliquot-agent_0.1.0_amd64.deb
must test ! -e "$chroot/run/aliquot-agent.pid"
inside aliquot enroll hplc-1 --out /root/hplc-1.bundle >"$work/enroll.log" 2>&1
sed -i 's|^#sources:|sources: [{path: /data/hplc, quietPeriodSeconds: 1}]\n&|' "$chroot/etc/aliquot-agent/agent.yaml"
inside aliquot-agent enroll /root/hplc-1.bundle >"$work/enroll.log" 2>&1
pid=$(cat "$chroot/run/aliquot-agent.pid")
watch aliquot-agent
until_so says '"connection":"ready"'
must grep -q "^Uid:.$(inside id -u aliquot-agent)" "/proc/$pid/status"
# CAP_DAC_READ_SEARCH, bit 2, and nothing else, for it and for all that it starts.
must test "$(grep -c '^Cap\(Prm\|Eff\|Bnd\|Amb\):.0*4$' "/proc/$pid/status")" = 4

now 'a folder of mode 700 is read, and every user sees that it is safe'
must test "$(stat -c '%a %U' "$chroot/data/hplc")" = "700 $(stat -c %U "$chroot/data")"
until_so says '"allSafe":true'
must says '"sources":\[{"path":"/data/hplc"'
must test -z "$(owners /var/lib/aliquot-agent aliquot-agent)"
must test "$(stat -c %a "$chroot/var/lib/aliquot-agent")" = 700

now 'results go on while the collector is away, and the queue is whole after an upgrade'
inside systemctl stop aliquot-collector
printf 'min;mAU\n0.1;12\n' >"$chroot/data/hplc/Größe µ.csv"
inside chown labuser: '/data/hplc/Größe µ.csv'
until_so says '"queue":{"entries":[1-9]'
waiting=$(status | sed -n 's/.*"queue":{"entries":\([0-9]*\).*/\1/p')
install /packages/aliquot-agent_0.2.0_amd64.deb
must test "$(cat "$chroot/run/aliquot-agent.pid")" != "$pid"
must test "$(inside dpkg-query -W -f '${Version}' aliquot-agent)" = 0.2.0
must grep -q '^sources: ' "$chroot/etc/aliquot-agent/agent.yaml"
until_so says "\"queue\":{\"entries\":$waiting,"
inside systemctl start aliquot-collector
until_so says '"allSafe":true'

now 'no system call that the units would refuse'
filtered aliquot-agent
filtered aliquot-collector

now 'restore, and compare'
inside aliquot restore --agent hplc-1 --to /root/back >"$work/restore.log" 2>&1
sums() { (cd "$1" && find . -type f -exec sha256sum {} + | LC_ALL=C sort); }
must test "$(sums "$chroot/root/back/data/hplc")" = "$(sums "$chroot/data/hplc")"

now 'apt remove: the program goes, keys, queue and settings stay'
inside ln -s /etc/planted /var/lib/aliquot-agent/nothing-waits # what the service's user could do
inside apt-get remove --yes aliquot-agent >>"$work/apt.log" 2>&1
must test ! -e "$chroot/etc/planted"
must test ! -e "$chroot/run/aliquot-agent.pid"
must test ! -e "$chroot/usr/lib/aliquot-agent"
must test -e "$chroot/var/lib/aliquot-agent/identity" -a -e "$chroot/etc/aliquot-agent/agent.yaml"

now 'install again: the same agent goes on'
install /packages/aliquot-agent_0.2.0_amd64.deb
until_so says '"allSafe":true'

now 'purge asks nothing, and keeps a queue that is nowhere else'
inside systemctl stop aliquot-collector
echo new >"$chroot/data/hplc/new.csv" && inside chown labuser: /data/hplc/new.csv
until_so says '"queue":{"entries":[1-9]'
must test "$(inside apt-get purge --yes aliquot-agent 2>&1 </dev/null | grep -c '^aliquot-agent: kept /var/lib/aliquot-agent')" = 1
must test -d "$chroot/var/lib/aliquot-agent/queue"
install /packages/aliquot-agent_0.2.0_amd64.deb
sed -i 's|^#sources:|sources: [{path: /data/hplc, quietPeriodSeconds: 1}]\n&|' "$chroot/etc/aliquot-agent/agent.yaml"
inside systemctl start aliquot-collector
until_so says '"allSafe":true'

now 'purge when all is safe: nothing of the agent is left'
inside apt-get purge --yes aliquot-agent >>"$work/apt.log" 2>&1 </dev/null
must test "$(inside apt-get purge --yes aliquot-collector 2>&1 </dev/null | grep -c '^aliquot-collector: kept /var/lib/aliquot-collector')" = 1
must test -d "$chroot/var/lib/aliquot-collector/vaults"
rm -r "$chroot/var/lib/aliquot-collector" && inside deluser --quiet --system aliquot-collector
inside userdel --remove labuser 2>/dev/null
picture | LC_ALL=C diff "$work/before" - >"$work/left.log" || exit 1
