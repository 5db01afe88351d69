  if [ -z "$(find /var/lib/aliquot-collector/vaults -type f 2>/dev/null | head -n 1)" ]; then
    rm -rf /var/lib/aliquot-collector
  else
    echo "aliquot-collector: kept /var/lib/aliquot-collector, which holds backups; once nobody needs them: rm -r /var/lib/aliquot-collector && deluser --system aliquot-collector" >&2
  fi
