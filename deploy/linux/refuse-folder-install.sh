# A folder install has its own service under the same name: two would share one data folder.
for unit in /etc/systemd/system/@PACKAGE@.service /usr/local/lib/systemd/system/@PACKAGE@.service; do
  if [ -f "$unit" ] && [ ! -L "$unit" ]; then
    echo "@PACKAGE@: this computer has a folder install, whose service is $unit; end it with \"@COMMAND@ service uninstall\" of that folder (its data stays), then install the package [FOLDER_INSTALL]" >&2
    exit 1
  fi
done
if [ -e /opt/@PACKAGE@/current ] && [ -d /opt/@PACKAGE@/versions ]; then
  echo "@PACKAGE@: this computer has a folder install in /opt/@PACKAGE@; end its service, move that folder away (its data lies elsewhere and stays), then install the package [FOLDER_INSTALL]" >&2
  exit 1
fi
