  # Where one of these is missing the folder is damaged, and the others may hold what is nowhere else.
  found=$(ls -d /var/lib/aliquot-agent/format.json /var/lib/aliquot-agent/identity /var/lib/aliquot-agent/queue 2>/dev/null || true)
  if [ -e /var/lib/aliquot-agent/nothing-waits ] || [ -z "$found" ]; then
    rm -rf /var/lib/aliquot-agent
  elif [ -d /var/lib/aliquot-agent ]; then
    echo "aliquot-agent: kept /var/lib/aliquot-agent: results in it may be nowhere else; once they are not needed: rm -r /var/lib/aliquot-agent && deluser --system aliquot-agent" >&2
  fi
