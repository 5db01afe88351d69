#!/bin/sh
# Proves the collector's image on this machine: builds it from the packages, starts it behind nginx
# as in ../nginx, lets an agent of the agent's own package send results through TLS, and restores
# them. Ends with one line and 0 when all is equal; 1 and the step when not; 2 where buildah,
# mmdebstrap or nginx is missing. Some two minutes, a gigabyte in TMPDIR, nothing left behind.
set -eu
here=$(CDPATH='' cd "$(dirname "$0")" && pwd -P)
root=$(CDPATH='' cd "$here/../.." && pwd -P)
for tool in buildah mmdebstrap nginx openssl; do
  command -v "$tool" >/dev/null || { echo "NOT TRIED: $tool is not installed" >&2; exit 2; }
done

work=$(mktemp -d "${TMPDIR:-/tmp}/aliquot-proof.XXXXXX")
export ALIQUOT_IMAGES="$work/images" ALIQUOT_STATE="$work/operator"
export ALIQUOT_PASSPHRASE='turnip lantern oblique harbour' RUNTIME_DIRECTORY="$work/run"
tag=localhost/aliquot-collector:proof
collector='' proxy='' agent='' step='' began=$(date +%s)

end() {
  code=$?
  for process in $agent $proxy $collector; do kill -TERM "$process" 2>/dev/null || true; done
  wait
  if [ $code -eq 0 ]; then
    echo "PROVED: image, nginx, agent, restart and restore in $(($(date +%s) - began)) s"
  else
    echo "FAILED at: $step" >&2
    for log in "$work"/*.log; do [ ! -s "$log" ] || { echo "-- ${log##*/}"; tail -n 15 "$log"; } >&2; done
  fi
  rm -rf "$work"
}
trap end EXIT
trap 'exit 1' INT TERM
now() { step=$1; echo "$1" >&2; }
must() { "$@" || { echo "$*" >&2; exit 1; }; }

now 'make the packages of collector and agent'
(cd "$root" && npm run --silent package -- --target linux-x64 --formats archive --out "$work/made") > "$work/package.log" 2>&1
for name in aliquot-collector aliquot-agent; do
  tar -xzf "$work/made/$name"-*-linux-x64.tar.gz -C "$work"
done
PATH="$work/aliquot-collector/bin:$work/aliquot-agent/bin:$PATH"
node="$work/aliquot-agent/versions/$(cat "$work/aliquot-agent/current")/node"

now 'build the image with buildah, on a base of its own'
"$here/build.sh" image --tag $tag --package "$work/made"/aliquot-collector-*-linux-x64.tar.gz \
  > "$work/image.log" 2>&1

# What runs inside, without the image's entry point: a look at the whole image, and its health check.
inside() {
  images="buildah --root $ALIQUOT_IMAGES/store --runroot $ALIQUOT_IMAGES/run --storage-driver vfs"
  container=$($images from --quiet $tag)
  code=0
  $images run --isolation chroot "$container" -- "$@" || code=$?
  $images rm "$container" >/dev/null
  return $code
}
now 'look for secrets and for what its user could change in the image'
must test "$(inside id -u)" = 10480
found=$(inside sh -c "find / -xdev \( -name '*.key' -o -name '*.token' -o -name '*.kit' -o -name '*.bundle' \) \
  2>/dev/null; grep -rIl 'PRIVATE KEY-----' /etc /usr /var /root /home 2>/dev/null;
  find /usr /etc -xdev -writable ! -type l 2>/dev/null" || true)
must test -z "$found"

# Two ports that are free now, below those that the system gives to others.
set -- $("$node" -e "
  const { createServer } = require('node:net');
  const found = [];
  const look = (port) => {
    const server = createServer();
    server.once('error', () => look(port + 1));
    server.listen(port, '127.0.0.1', () => server.close(() => {
      found.push(port);
      if (found.length < 2) return look(port + 1);
      console.log(found.join(' '));
    }));
  };
  look(21000 + process.pid % 5000);")
inner=$1 front=$2

now 'make a collector in a volume'
mkdir -m 700 "$work/volume" && chown 10480:10480 "$work/volume"
"$here/build.sh" run --tag $tag --volume "$work/volume" -- \
  init --data /var/lib/aliquot/collector --name Proof > "$work/init.log" 2>&1

serve() {
  "$here/build.sh" run --tag $tag --volume "$work/volume" -- \
    serve --data /var/lib/aliquot/collector --listen "127.0.0.1:$inner" > "$work/collector.log" 2>&1 &
  collector=$!
  tries=0
  until inside /usr/lib/aliquot-collector/node /usr/lib/aliquot-collector/alive.ts "$inner" \
    > "$work/alive.log" 2>&1; do
    tries=$((tries + 1))
    must kill -0 $collector
    must test $tries -lt 30
    sleep 1
  done
}
now 'start it as its own user, until the health check of the image is content'
serve
must test "$(stat -c %u "$work/volume/collector/collector.json")" = 10480

now 'start nginx in front of it, with the example and a certificate of an authority'
(
  cd "$work" && fast='-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes'
  openssl req -x509 $fast -subj /CN=proof-ca -days 2 -keyout ca.key -out ca.pem
  openssl req $fast -subj /CN=localhost -keyout tls.key -out tls.csr
  echo 'subjectAltName=DNS:localhost' > tls.ext
  openssl x509 -req -in tls.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile tls.ext -out tls.crt
) > "$work/openssl.log" 2>&1
mkdir "$work/nginx"
sed -e "s/listen 8480 ssl/listen 127.0.0.1:$front ssl/" -e "s/127\.0\.0\.1:8481/127.0.0.1:$inner/" \
  -e 's/backup\.lab\.example/localhost/' -e "s|/etc/aliquot/tls/tls\.|$work/tls.|" \
  "$here/../nginx/aliquot.conf" > "$work/nginx/site.conf"
cat > "$work/nginx/nginx.conf" <<END
pid $work/nginx/nginx.pid;
events {}
http {
  access_log $work/nginx/access.log;
  client_body_temp_path $work/nginx/body; proxy_temp_path $work/nginx/proxy;
  fastcgi_temp_path $work/nginx/fastcgi; uwsgi_temp_path $work/nginx/uwsgi; scgi_temp_path $work/nginx/scgi;
  include $work/nginx/site.conf;
}
END
nginx -e "$work/nginx.log" -c "$work/nginx/nginx.conf" -t > "$work/nginx-check.log" 2>&1
nginx -e "$work/nginx.log" -c "$work/nginx/nginx.conf" -g 'daemon off;' &
proxy=$!

now 'make kit, vault and bundle through nginx, and enrol a PC'
export ALIQUOT_URL="https://localhost:$front" ALIQUOT_TLS_CA="$work/ca.pem" ALIQUOT_KIT="$work/proof.kit"
ALIQUOT_TOKEN=$(cat "$work/volume/collector/admin.token")
export ALIQUOT_TOKEN
{
  aliquot kit create --out "$ALIQUOT_KIT" --vault proof
  aliquot vault add
  aliquot enroll hplc-1 --out "$work/hplc-1.bundle"
  aliquot-agent enroll "$work/hplc-1.bundle" --data "$work/agent"
} > "$work/enrol.log" 2>&1

now 'run the agent, and write results while it runs'
mkdir -p "$work/results/Run 1.D" "$work/results/empty" "$work/run"
cp -r "$root/docs" "$root/proto/vectors" "$root/deploy/container" "$work/results"
head -c 20000000 /dev/urandom > "$work/results/Run 1.D/MSScan.bin"
printf 'sources: [{path: "%s", quietPeriodSeconds: 1}]\n' "$work/results" > "$work/agent/agent.yaml"
aliquot-agent run --data "$work/agent" > "$work/agent.log" 2>&1 &
agent=$!
printf 'min;mAU\n0.1;12\n' > "$work/results/Größe µ.csv"
ln -s 'Run 1.D' "$work/results/latest"
tries=0
until aliquot-agent status --data "$work/agent" --json 2>"$work/status.log" | grep -q '"connection":"ready"'; do
  tries=$((tries + 1)); must test $tries -lt 60; sleep 1
done
aliquot-agent backup "$work/results" --data "$work/agent" --json > "$work/backup.log" 2>&1
must grep -q '"failed":0' "$work/backup.log"
must grep -q 'GET /v1/agent HTTP/1.1" 101\|/v1/enrol' "$work/nginx/access.log"

now 'stop the container, which must end with 0, and start another on the same volume'
kill -TERM $collector
code=0; wait $collector || code=$?
must test $code -eq 0
serve
printf 'min;mAU\n0.1;13\n' > "$work/results/after the restart.csv"
aliquot-agent backup "$work/results" --data "$work/agent" --json > "$work/backup.log" 2>&1
must grep -q '"queued":0' "$work/backup.log"

now 'restore with the kit, and compare names, bytes, times and modes'
aliquot restore --agent hplc-1 --to "$work/back" > "$work/restore.log" 2>&1
picture() {
  (cd "$1" && find . \( -type d -printf 'd %m %p\n' \) -o \( -type l -printf 'l %l %p\n' \) -o -printf 'f %m %s %TY%Tm%Td%TH%TM%TS %p\n' \
    | LC_ALL=C sort && find . -type f -exec sha256sum {} + | LC_ALL=C sort)
}
picture "$work/results" > "$work/before.txt"
picture "$work/back$work/results" > "$work/after.txt"
diff "$work/before.txt" "$work/after.txt" > "$work/differences.log"

now 'read back and prove the store, with the image itself'
aliquot check > "$work/check.log" 2>&1
"$here/build.sh" run --tag $tag --volume "$work/volume" -- fsck --data /var/lib/aliquot/collector > "$work/fsck.log" 2>&1
echo "$(wc -l < "$work/before.txt") lines of names, times and sums are equal" >&2
