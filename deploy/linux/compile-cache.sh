# Code is compiled now, by root and into root's own folder, so that each command starts in half the
# time (shared/src/cli/compile-cache.ts). Without it everything works, only slower.
rm -rf /usr/lib/@PACKAGE@/compile-cache
mkdir -m 0755 /usr/lib/@PACKAGE@/compile-cache
for words in '--version' @WARM@; do
  /usr/lib/@PACKAGE@/launcher $words --data /nonexistent >/dev/null 2>&1 </dev/null || true
done
find /usr/lib/@PACKAGE@/compile-cache -type f -exec chmod 0644 {} +
