#!/bin/sh
# Stands in for systemctl where no systemd runs (proof.sh): starts and stops what a unit's file says,
# under its user, with its capabilities and environment, and with nothing of the caller's.
set -u
words=
for word in "$@"; do case $word in -*) ;; *) words="$words $word" ;; esac; done
set -- $words
verb=${1-}
[ $# -eq 0 ] || shift

of() { sed -n "s/^$1=//p" "$unit"; }
begin() {
  [ ! -e "$pid" ] || return 0
  condition=$(of ConditionPathExists)
  [ -e "$condition" ] || return 0
  user=$(of User)
  caps=-all$(of AmbientCapabilities | tr 'A-Z' 'a-z' | sed 's/cap_/,+/g; s/ //g')
  install -d -o "$user" -g "$user" -m 0755 "/run/$user"
  SERVE_OPTIONS=
  file=$(of EnvironmentFile); file=${file#-}
  [ ! -f "$file" ] || . "$file"
  command=$(of ExecStart | sed "s|\$SERVE_OPTIONS|$SERVE_OPTIONS|")
  setsid setpriv --reuid="$user" --regid="$user" --init-groups --no-new-privs \
    --inh-caps="$caps" --ambient-caps="$caps" --bounding-set="$caps" \
    env -i PATH=/usr/bin:/bin LC_ALL=C.UTF-8 RUNTIME_DIRECTORY="/run/$user" $(of Environment) \
    sh -c 'umask 077; cd /; exec "$@"' start $command </dev/null >>"/var/log/$name.log" 2>&1 &
  echo $! >"$pid"
}
finish() {
  [ -e "$pid" ] || return 0
  process=$(cat "$pid")
  kill -TERM "$process" 2>/dev/null || true
  while kill -0 "$process" 2>/dev/null; do sleep 0.1; done
  rm -f "$pid"
}
for service in "$@"; do
  name=${service%.service} unit=/usr/lib/systemd/system/${service%.service}.service pid=/run/${service%.service}.pid
  case $verb in
    start) begin ;;
    stop) finish ;;
    restart) finish; begin ;;
    is-enabled) echo enabled ;;
    is-active) [ -e "$pid" ] || exit 3 ;;
  esac
done
exit 0
