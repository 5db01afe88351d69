#!/bin/sh
# Proves the role in a fresh Debian, a chroot made by mmdebstrap: installs and enrols, changes
# nothing when it runs again, refuses a wrong agent.yaml and leaves the old, removes, purges. There
# is no systemd in a chroot, so what starts the service is not proved. `proof.sh AGENT.deb`; ends
# with one line and 0, 1 with the step, or 2 where mmdebstrap is missing.
set -eu
here=$(CDPATH='' cd "$(dirname "$0")" && pwd -P)
root=$(CDPATH='' cd "$here/../.." && pwd -P)
package=${1:-}
[ -f "$package" ] || { echo 'usage: proof.sh AGENT.deb (npm run package makes it)' >&2; exit 2; }
command -v mmdebstrap >/dev/null || { echo 'NOT TRIED: mmdebstrap is not installed' >&2; exit 2; }

work=$(mktemp -d "${TMPDIR:-/tmp}/aliquot-ansible.XXXXXX")
chroot=$work/chroot
export ALIQUOT_STATE="$work/operator" ALIQUOT_PASSPHRASE='turnip lantern oblique harbour'
PATH="$root/bin:$PATH"
collector='' step=''
end() {
  code=$?
  [ -z "$collector" ] || kill -TERM "$collector" 2>/dev/null || true
  wait
  if [ $code -eq 0 ]; then echo 'PROVED: install, enrol, again, wrong settings, remove, purge'
  else echo "FAILED at: $step" >&2; tail -n 30 "$work"/*.log >&2 2>/dev/null || true; fi
  umount "$chroot/proc" 2>/dev/null || true
  rm -rf --one-file-system "$work"
}
trap end EXIT
trap 'exit 1' INT TERM
now() { step=$1; echo "$1" >&2; }
must() { "$@" || { echo "$*" >&2; exit 1; }; }

now 'make a Debian'
mmdebstrap --quiet --variant=minbase --include=ansible-core,python3-apt,adduser,init-system-helpers \
  bookworm "$chroot" > "$work/debian.log" 2>&1
mount -t proc proc "$chroot/proc"

now 'serve a collector'
aliquot init --data "$work/collector" > "$work/init.log" 2>&1
mkfifo "$work/said"
aliquot serve --data "$work/collector" --listen 127.0.0.1:0 > "$work/said" 2> "$work/collector.log" &
collector=$!
read -r ready < "$work/said"
ALIQUOT_URL=$(expr "$ready" : '.*"url":"\([^"]*\)"') ALIQUOT_KIT=$work/lab.kit
ALIQUOT_TOKEN=$(cat "$work/collector/admin.token")
export ALIQUOT_URL ALIQUOT_KIT ALIQUOT_TOKEN
aliquot kit create --out "$ALIQUOT_KIT" --vault lab > "$work/kit.log" 2>&1
aliquot vault add > "$work/vault.log" 2>&1
mkdir -p "$chroot/play" "$chroot/data/results"
cp -r "$here/roles" "$chroot/play"
cp "$package" "$chroot/play/agent.deb"
aliquot enroll --group hall --uses 1 --out "$chroot/play/hall.bundle" > "$work/enroll.log" 2>&1

# $1: the first setting's path; the rest: other variables.
play() {
  path=$1; shift
  cat > "$chroot/play/play.yml" <<END
- hosts: localhost
  roles:
    - role: aliquot_agent
      vars: {aliquot_agent_package: agent.deb, aliquot_agent_bundle: hall.bundle, aliquot_agent_name: pc-1, aliquot_agent_service: false}
  vars:
    aliquot_agent_config: {sources: [{path: $path}]}
END
  chroot "$chroot" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 ANSIBLE_LOCALHOST_WARNING=0 \
    sh -c 'cd /play && ansible-playbook -c local -i localhost, play.yml "$@"' - "$@" > "$work/play.log" 2>&1
}

now 'install and enrol'
play /data/results
must test -s "$chroot/var/lib/aliquot-agent/identity/identity.json"
must grep -q 'path: /data/results' "$chroot/etc/aliquot-agent/agent.yaml"
must test -z "$(find "$chroot/tmp" "$chroot/root/.ansible" -name bundle 2>/dev/null)"
aliquot agents --json > "$work/agents.log"
must grep -q pc-1 "$work/agents.log"

now 'run it again: nothing changes'
rm "$chroot/play/hall.bundle"
play /data/results
must grep -q 'changed=0 ' "$work/play.log"

now 'refuse a wrong agent.yaml, and leave the old one'
if play relative/path; then exit 1; fi
must grep -q 'absolute' "$work/play.log"
must grep -q 'path: /data/results' "$chroot/etc/aliquot-agent/agent.yaml"

now 'send a result, then remove the package: the folder stays'
echo 1 > "$chroot/data/results/run.csv"
chroot "$chroot" aliquot-agent backup /data/results --data /var/lib/aliquot-agent > "$work/backup.log" 2>&1
play /data/results -e aliquot_agent_state=absent
must test ! -e "$chroot/usr/bin/aliquot-agent"
must test -s "$chroot/var/lib/aliquot-agent/identity/identity.json"

now 'install again into the same folder, and purge'
play /data/results
play /data/results -e aliquot_agent_state=absent -e '{"aliquot_agent_purge": true}'
must test ! -e "$chroot/var/lib/aliquot-agent"
must test ! -e "$chroot/etc/aliquot-agent/agent.yaml"
