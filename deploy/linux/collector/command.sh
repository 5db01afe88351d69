#!/bin/sh
# aliquot as a package installs it. The service's folder belongs to the service's own user, and
# nothing in it may come to belong to another: so root becomes that user for commands on it.
set -u
user=aliquot-collector
launcher=/usr/lib/aliquot-collector/launcher

folder=
next=
for argument in "$@"; do
  if [ "$next" = data ]; then folder=$argument next=; continue; fi
  case $argument in
    --) break ;;
    --data) next=data ;;
    --data=*) folder=${argument#--data=} ;;
  esac
done
if [ -n "$folder" ] && [ "$(id -u)" = 0 ] && [ "$(stat -c %U "$folder" 2>/dev/null)" = "$user" ]; then
  exec setpriv --reuid=$user --regid=$user --init-groups "$launcher" "$@"
fi
exec "$launcher" "$@"
