  if [ -e /var/lib/aliquot-agent/nothing-waits ] || [ ! -e /var/lib/aliquot-agent/format.json ]; then
    rm -rf /var/lib/aliquot-agent
  elif [ -d /var/lib/aliquot-agent ]; then
    echo "aliquot-agent: kept /var/lib/aliquot-agent: results in it may be nowhere else; once they are not needed: rm -r /var/lib/aliquot-agent && deluser --system aliquot-agent" >&2
  fi
