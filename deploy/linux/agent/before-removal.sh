if [ "$1" = remove ]; then
  # What a purge may take with it is decided while the program can still be asked.
  waits=$(aliquot-agent status --json 2>/dev/null | sed -n 's/.*"queue":{"entries":\([0-9]*\).*/\1/p' | head -n 1)
  if [ "$waits" = 0 ]; then
    # As the service's user: the folder is that user's, and a link in it leads root nowhere.
    setpriv --reuid=aliquot-agent --regid=aliquot-agent --clear-groups \
      touch /var/lib/aliquot-agent/nothing-waits || true
  elif [ -n "$waits" ]; then
    echo "aliquot-agent: $waits versions of results wait for the collector; they stay in /var/lib/aliquot-agent, where an agent that is installed again sends them" >&2
  fi
fi
