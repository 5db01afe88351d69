#!/bin/sh
# aliquot-agent as a package installs it. The service's folder belongs to the service's own user,
# and nothing in it may come to belong to another: so root becomes that user for it, and keeps its
# power over the files of others.
set -u
user=aliquot-agent
data=/var/lib/aliquot-agent
launcher=/usr/lib/aliquot-agent/launcher

folder='' next='' ended=''
for argument in "$@"; do
  if [ "$next" = data ]; then folder=$argument next=; continue; fi
  case $argument in
    --) ended=yes; break ;;
    --data) next=data ;;
    --data=*) folder=${argument#--data=} ;;
  esac
done
# The package has one folder for data, so nobody has to name it.
if [ -z "$folder" ]; then
  folder=$data
  case ${1-} in
    enroll | run | backup | restore | flush | fsck | queue | address | settings | diagnose)
      [ -n "$ended" ] || set -- "$@" --data "$data" ;;
  esac
fi

if [ "$(id -u)" != 0 ] || [ "${1-}" = service ]; then exec "$launcher" "$@"; fi
if [ "$(stat -c %U "$folder" 2>/dev/null)" != "$user" ]; then exec "$launcher" "$@"; fi

powers=+dac_override,+dac_read_search
become="setpriv --reuid=$user --regid=$user --init-groups"
# A container may have taken these powers from root, too.
if $become --inh-caps=$powers --ambient-caps=$powers true 2>/dev/null; then
  become="$become --inh-caps=$powers --ambient-caps=$powers"
fi
if [ "${1-}" != enroll ] || [ "$folder" != "$data" ]; then exec $become "$launcher" "$@"; fi

$become "$launcher" "$@"
code=$?
# The service waited for that.
if [ "$code" = 0 ] && [ -d /run/systemd/system ]; then
  systemctl start aliquot-agent.service && echo 'The service runs now: systemctl status aliquot-agent' >&2
fi
exit "$code"
