#!/bin/sh
# Makes and tries the collector's image with nothing but Debian's buildah and mmdebstrap: no daemon,
# no registry, and no other image. `build.sh --help` says how.
set -eu
here=$(CDPATH='' cd "$(dirname "$0")" && pwd -P)
root=$(CDPATH='' cd "$here/../.." && pwd -P)

usage() {
  cat <<'END'
Usage: build.sh image [--package FILE] [--base IMAGE] [--tag NAME] [--out FILE]
       build.sh run   [--tag NAME] [--volume DIR] [--tls DIR] [-- COMMAND...]

image  builds the image. FILE is the collector's .tar.gz; without it one is made
       of this repository. Without IMAGE the base is made by mmdebstrap: Debian's
       essential packages and libstdc++, some 20 seconds. --out also writes
       the image to a file for `podman load` and `docker load`.
run    runs the image on this machine, in its network, as the image's own user;
       COMMAND stands for the image's own (serve).

--tag is localhost/aliquot-collector:latest unless given. ALIQUOT_IMAGES names
another folder for images than the user's own.

Example: build.sh image --out collector.tar && build.sh run -- --version
END
}

fail() { echo "build.sh: $1" >&2; exit "${2:-1}"; }

action=${1:-}
case $action in
  image | run) shift ;;
  -h | --help) usage; exit 0 ;;
  *) usage >&2; exit 2 ;;
esac
package='' base='' tag=localhost/aliquot-collector:latest out='' volume='' tls=''
while [ $# -gt 0 ]; do
  case $1 in
    -h | --help) usage; exit 0 ;;
    --) shift; break ;;
    --package | --base | --tag | --out | --volume | --tls)
      [ $# -ge 2 ] || fail "$1 needs a value; see build.sh --help" 2
      case $1 in
        --package) package=$2 ;; --base) base=$2 ;; --tag) tag=$2 ;;
        --out) out=$2 ;; --volume) volume=$2 ;; --tls) tls=$2 ;;
      esac
      shift 2 ;;
    *) fail "there is no option $1; see build.sh --help" 2 ;;
  esac
done
command -v buildah >/dev/null || fail 'buildah is not installed (Debian: apt-get install buildah)' 2

# Without namespaces and overlays: works in containers and chroots too.
images() {
  if [ -n "${ALIQUOT_IMAGES:-}" ]; then
    buildah --root "$ALIQUOT_IMAGES/store" --runroot "$ALIQUOT_IMAGES/run" --storage-driver vfs "$@"
  else
    STORAGE_DRIVER=${STORAGE_DRIVER:-vfs} buildah "$@"
  fi
}

work=$(mktemp -d "${TMPDIR:-/tmp}/aliquot-image.XXXXXX")
made=''
clean() {
  [ -z "$made" ] || images rm "$made" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap clean EXIT
trap 'exit 130' INT

# Of a folder install the version that is current, without what can switch it: images are replaced.
unpack() {
  tar -xzf "$1" -C "$work" --no-same-owner aliquot-collector 2>/dev/null || fail "$1 is no package of the collector"
  version=$(cat "$work/aliquot-collector/current") || fail "$1 is no package of the collector"
  mkdir -p "${2%/*}"
  mv "$work/aliquot-collector/versions/$version" "$2"
}

make_base() {
  command -v mmdebstrap >/dev/null || fail 'mmdebstrap is not installed; install it, or give a base with --base' 2
  base=localhost/aliquot-base
  echo "making the base $base" >&2
  mmdebstrap --quiet --variant=essential --include=libstdc++6 \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright' \
    --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
    bookworm "$work/base.tar"
  printf 'FROM scratch\nADD base.tar /\n' > "$work/Containerfile"
  images bud --quiet --isolation chroot --format docker --tag "$base" "$work" >/dev/null
  rm "$work/base.tar" "$work/Containerfile"
}

if [ "$action" = image ]; then
  if [ -z "$package" ]; then
    (cd "$root" && npm run --silent package -- --target linux-x64 --only collector --formats archive --out "$work/made" >&2)
    package=$(find "$work/made" -name 'aliquot-collector*linux-x64.tar.gz')
  fi
  [ -f "$package" ] || fail "there is no package $package" 2
  context=$work/context
  unpack "$package" "$context/package"
  cp "$here/Containerfile" "$here/alive.ts" "$context"
  [ -n "$base" ] || make_base
  images bud --quiet --isolation chroot --format docker --build-arg "BASE=$base" --tag "$tag" "$context" >/dev/null
  [ -z "$out" ] || images push --quiet "$tag" "docker-archive:$out:$tag" >&2
  echo "$tag"
else
  # What the image says of itself is what is run: user, entry point, command.
  said() { images inspect --type image --format "{{range .Docker.Config.$1}}{{.}}{{\"\\n\"}}{{end}}" "$tag"; }
  if [ $# -eq 0 ]; then
    said Cmd > "$work/command"
    while IFS= read -r word; do [ -z "$word" ] || set -- "$@" "$word"; done < "$work/command"
  fi
  entry=$(said Entrypoint | head -n 1)
  made=$(images from --quiet "$tag")
  set -- "$made" -- "$entry" "$@"
  [ -z "$tls" ] || set -- --volume "$tls:/etc/aliquot/tls:ro" "$@"
  [ -z "$volume" ] || set -- --volume "$volume:/var/lib/aliquot" "$@"
  # In the background, so that we hear signals. buildah hands none on, and would leave the program
  # behind: so the program itself, at the end of buildah's own processes, is told.
  images run --isolation chroot "$@" &
  running=$!
  stop() {
    last=$running
    while next=$(cat /proc/"$last"/task/*/children 2>/dev/null) && [ -n "$next" ]; do
      last=${next%% *}
    done
    kill -TERM "$last" 2>/dev/null || true
  }
  trap stop TERM INT
  code=0
  wait $running || code=$?
  # A signal ends the wait, not the program.
  while kill -0 $running 2>/dev/null; do code=0; wait $running || code=$?; done
  exit $code
fi
