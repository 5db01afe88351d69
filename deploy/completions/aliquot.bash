# Completion of aliquot for bash. Made from the commands by `npm run docs`; do not edit.
_aliquot() {
  local place='aliquot' word words='' options=''
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$place $word" in
      'aliquot init' | 'aliquot serve' | 'aliquot collector' | 'aliquot collector address' | 'aliquot collector address set' | 'aliquot collector address show' | 'aliquot collector clock' | 'aliquot kit' | 'aliquot kit create' | 'aliquot kit verify' | 'aliquot kit passphrase' | 'aliquot vault' | 'aliquot vault add' | 'aliquot enroll' | 'aliquot agents' | 'aliquot agents approve' | 'aliquot agents diagnose' | 'aliquot agent' | 'aliquot agent revoke' | 'aliquot agent acknowledge' | 'aliquot agent gone' | 'aliquot agent lost' | 'aliquot policy' | 'aliquot policy get' | 'aliquot policy template' | 'aliquot policy check' | 'aliquot policy diff' | 'aliquot policy set' | 'aliquot policy simulate' | 'aliquot policy promote' | 'aliquot gc' | 'aliquot gc status' | 'aliquot gc run' | 'aliquot gc pause' | 'aliquot gc resume' | 'aliquot hold' | 'aliquot hold add' | 'aliquot hold list' | 'aliquot hold show' | 'aliquot hold resolve' | 'aliquot hold release' | 'aliquot purge' | 'aliquot purge order' | 'aliquot purge approve' | 'aliquot purge cancel' | 'aliquot purge list' | 'aliquot retention' | 'aliquot retention status' | 'aliquot retention run' | 'aliquot retention approve' | 'aliquot retention undo' | 'aliquot explain' | 'aliquot operator' | 'aliquot operator add' | 'aliquot operator show' | 'aliquot release' | 'aliquot release add' | 'aliquot release list' | 'aliquot release remove' | 'aliquot fork' | 'aliquot fork list' | 'aliquot fork decide' | 'aliquot find' | 'aliquot ls' | 'aliquot versions' | 'aliquot restore' | 'aliquot cat' | 'aliquot diff' | 'aliquot check' | 'aliquot status' | 'aliquot stats' | 'aliquot log' | 'aliquot log status' | 'aliquot log reopen' | 'aliquot queue' | 'aliquot queue import' | 'aliquot fsck') place="$place $word" ;;
    esac
  done
  case "$place" in
    'aliquot') words='init serve collector kit vault enroll agents agent policy gc hold purge retention explain operator release fork find ls versions restore cat diff check status stats log queue fsck' options='--version --help' ;;
    'aliquot init') words='' options='--data --name --json --help' ;;
    'aliquot serve') words='' options='--data --listen --tls-cert --tls-key --trusted-proxy --help' ;;
    'aliquot collector') words='address clock' options='--help' ;;
    'aliquot collector address') words='set show' options='--help' ;;
    'aliquot collector address set') words='' options='--out --url --token-file --tls-ca --vault --kit --passphrase-file --json --help' ;;
    'aliquot collector address show') words='' options='--url --token-file --tls-ca --vault --json --help' ;;
    'aliquot collector clock') words='' options='--confirm --correct --by --yes --kit --passphrase-file --url --token-file --tls-ca --vault --json --help' ;;
    'aliquot kit') words='create verify passphrase' options='--help' ;;
    'aliquot kit create') words='' options='--out --vault --blind --weak-passphrase --passphrase-file --json --help' ;;
    'aliquot kit verify') words='' options='--kit --passphrase-file --json --help' ;;
    'aliquot kit passphrase') words='' options='--new-passphrase-file --weak-passphrase --kit --passphrase-file --json --help' ;;
    'aliquot vault') words='add' options='--help' ;;
    'aliquot vault add') words='' options='--collector --generation --url --token-file --tls-ca --vault --kit --passphrase-file --json --help' ;;
    'aliquot enroll') words='' options='--out --list --out-dir --group --uses --names --approve --end-group --expires --no-self-restore --replaces --agent-url --url --token-file --tls-ca --vault --kit --passphrase-file --json --help' ;;
    'aliquot agents') words='approve diagnose' options='--problems --url --token-file --tls-ca --vault --json --help' ;;
    'aliquot agents approve') words='' options='--replaces --url --token-file --tls-ca --vault --kit --by --passphrase-file --json --help' ;;
    'aliquot agents diagnose') words='' options='--out --by --passphrase-file --url --token-file --tls-ca --vault --json --help' ;;
    'aliquot agent') words='revoke acknowledge gone lost' options='--help' ;;
    'aliquot agent revoke') words='' options='--reason --url --token-file --tls-ca --vault --kit --by --passphrase-file --json --help' ;;
    'aliquot agent acknowledge') words='' options='--url --token-file --tls-ca --vault --json --help' ;;
    'aliquot agent gone') words='' options='--path --yes --url --token-file --tls-ca --vault --kit --passphrase-file --json --help' ;;
    'aliquot agent lost') words='' options='--reason --url --token-file --tls-ca --vault --json --help' ;;
    'aliquot policy') words='get template check diff set simulate promote' options='--help' ;;
    'aliquot policy get') words='' options='--revision --agent --url --token-file --tls-ca --vault --kit --by --passphrase-file --json --help' ;;
    'aliquot policy template') words='' options='--json --help' ;;
    'aliquot policy check') words='' options='--json --help' ;;
    'aliquot policy diff') words='' options='--canary --all --url --token-file --tls-ca --vault --kit --by --passphrase-file --json --help' ;;
    'aliquot policy set') words='' options='--canary --all --yes --url --token-file --tls-ca --vault --kit --by --passphrase-file --json --help' ;;
    'aliquot policy simulate') words='' options='--at --days --agent --url --token-file --tls-ca --vault --kit --by --passphrase-file --json --help' ;;
    'aliquot policy promote') words='' options='--url --token-file --tls-ca --vault --json --help' ;;
    'aliquot gc') words='status run pause resume' options='--help' ;;
    'aliquot gc status') words='' options='--url --token-file --tls-ca --vault --json --help' ;;
    'aliquot gc run') words='' options='--dry-run --all --url --token-file --tls-ca --vault --json --help' ;;
    'aliquot gc pause') words='' options='--url --token-file --tls-ca --vault --json --help' ;;
    'aliquot gc resume') words='' options='--url --token-file --tls-ca --vault --json --help' ;;
    'aliquot hold') words='add list show resolve release' options='--help' ;;
    'aliquot hold add') words='' options='--reason --owner --agent --path --class --from --to --url --token-file --tls-ca --vault --kit --passphrase-file --json --help' ;;
    'aliquot hold list') words='' options='--all --url --token-file --tls-ca --vault --json --help' ;;
    'aliquot hold show') words='' options='--url --token-file --tls-ca --vault --kit --passphrase-file --json --help' ;;
    'aliquot hold resolve') words='' options='--url --token-file --tls-ca --vault --kit --passphrase-file --json --help' ;;
    'aliquot hold release') words='' options='--reason --url --token-file --tls-ca --vault --kit --by --passphrase-file --json --help' ;;
    'aliquot purge') words='order approve cancel list' options='--help' ;;
    'aliquot purge order') words='' options='--agent --path --reason --url --token-file --tls-ca --vault --kit --passphrase-file --by --json --help' ;;
    'aliquot purge approve') words='' options='--url --token-file --tls-ca --vault --kit --passphrase-file --by --json --help' ;;
    'aliquot purge cancel') words='' options='--reason --url --token-file --tls-ca --vault --kit --by --passphrase-file --json --help' ;;
    'aliquot purge list') words='' options='--url --token-file --tls-ca --vault --json --help' ;;
    'aliquot retention') words='status run approve undo' options='--help' ;;
    'aliquot retention status') words='' options='--url --token-file --tls-ca --vault --json --help' ;;
    'aliquot retention run') words='' options='--dry-run --url --token-file --tls-ca --vault --json --help' ;;
    'aliquot retention approve') words='' options='--url --token-file --tls-ca --vault --kit --by --passphrase-file --json --help' ;;
    'aliquot retention undo') words='' options='--url --token-file --tls-ca --vault --json --help' ;;
    'aliquot explain') words='' options='--agent --path --url --token-file --tls-ca --vault --kit --passphrase-file --json --help' ;;
    'aliquot operator') words='add show' options='--help' ;;
    'aliquot operator add') words='' options='--out --purposes --expires --new-passphrase-file --weak-passphrase --kit --passphrase-file --json --help' ;;
    'aliquot operator show') words='' options='--by --passphrase-file --json --help' ;;
    'aliquot release') words='add list remove' options='--help' ;;
    'aliquot release add') words='' options='--url --token-file --tls-ca --vault --json --help' ;;
    'aliquot release list') words='' options='--url --token-file --tls-ca --vault --json --help' ;;
    'aliquot release remove') words='' options='--url --token-file --tls-ca --vault --json --help' ;;
    'aliquot fork') words='list decide' options='--help' ;;
    'aliquot fork list') words='' options='--url --token-file --tls-ca --vault --json --help' ;;
    'aliquot fork decide') words='' options='--restored --clone --url --token-file --tls-ca --vault --json --help' ;;
    'aliquot find') words='' options='--agent --sort --limit --url --token-file --tls-ca --vault --kit --passphrase-file --json --help' ;;
    'aliquot ls') words='' options='--agent --at --folders --results --path --path-file --null --sort --limit --url --token-file --tls-ca --vault --kit --passphrase-file --json --help' ;;
    'aliquot versions') words='' options='--agent --path --url --token-file --tls-ca --vault --kit --passphrase-file --json --help' ;;
    'aliquot restore') words='' options='--agent --path --path-file --null --at --version --result --to --overwrite --url --token-file --tls-ca --vault --kit --passphrase-file --json --help' ;;
    'aliquot cat') words='' options='--agent --path --at --version --url --token-file --tls-ca --vault --kit --passphrase-file --help' ;;
    'aliquot diff') words='' options='--agent --from --to --path --path-file --null --url --token-file --tls-ca --vault --kit --passphrase-file --json --help' ;;
    'aliquot check') words='' options='--sample --agent --url --token-file --tls-ca --vault --kit --passphrase-file --json --help' ;;
    'aliquot status') words='' options='--url --token-file --tls-ca --vault --json --help' ;;
    'aliquot stats') words='' options='--url --token-file --tls-ca --vault --json --help' ;;
    'aliquot log') words='status reopen' options='--help' ;;
    'aliquot log status') words='' options='--url --token-file --tls-ca --vault --json --help' ;;
    'aliquot log reopen') words='' options='--url --token-file --tls-ca --vault --kit --passphrase-file --json --help' ;;
    'aliquot queue') words='import' options='--help' ;;
    'aliquot queue import') words='' options='--out --accept-ended --url --token-file --tls-ca --vault --json --help' ;;
    'aliquot fsck') words='' options='--data --repair --packs-lost --json --help' ;;
  esac
  case "$2" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$2")) ;;
    *) if [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$2")); else COMPREPLY=($(compgen -f -- "$2")); fi ;;
  esac
}
complete -o filenames -F _aliquot aliquot
