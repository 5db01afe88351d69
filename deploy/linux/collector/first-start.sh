  # The collector's identity, and the first operator's token, which only root and the service read.
  if [ ! -e /var/lib/aliquot-collector/format.json ]; then
    aliquot init --data /var/lib/aliquot-collector
  fi
