# Completion of aliquot-agent for bash. Made from the commands by `npm run docs`; do not edit.
_aliquot_agent() {
  local place='aliquot-agent' word words='' options=''
  for word in "${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$place $word" in
      'aliquot-agent enroll' | 'aliquot-agent run' | 'aliquot-agent service' | 'aliquot-agent service install' | 'aliquot-agent service uninstall' | 'aliquot-agent service start' | 'aliquot-agent service stop' | 'aliquot-agent service status' | 'aliquot-agent config' | 'aliquot-agent config check' | 'aliquot-agent backup' | 'aliquot-agent flush' | 'aliquot-agent queue' | 'aliquot-agent queue export' | 'aliquot-agent queue import' | 'aliquot-agent address' | 'aliquot-agent address set' | 'aliquot-agent restore' | 'aliquot-agent status' | 'aliquot-agent settings' | 'aliquot-agent versions' | 'aliquot-agent diagnose' | 'aliquot-agent fsck') place="$place $word" ;;
    esac
  done
  case "$place" in
    'aliquot-agent') words='enroll run service config backup flush queue address restore status settings versions diagnose fsck' options='--version --help' ;;
    'aliquot-agent enroll') words='' options='--data --json --name --help' ;;
    'aliquot-agent run') words='' options='--data --json --config --log-file --help' ;;
    'aliquot-agent service') words='install uninstall start stop status' options='--help' ;;
    'aliquot-agent service install') words='' options='--data --json --account --help' ;;
    'aliquot-agent service uninstall') words='' options='--data --json --help' ;;
    'aliquot-agent service start') words='' options='--data --json --help' ;;
    'aliquot-agent service stop') words='' options='--data --json --help' ;;
    'aliquot-agent service status') words='' options='--data --json --help' ;;
    'aliquot-agent config') words='check' options='--help' ;;
    'aliquot-agent config check') words='' options='--data --json --help' ;;
    'aliquot-agent backup') words='' options='--data --json --offline --dry-run --exclude --accept-gone --path-file --null --help' ;;
    'aliquot-agent flush') words='' options='--data --json --help' ;;
    'aliquot-agent queue') words='export import' options='--help' ;;
    'aliquot-agent queue export') words='' options='--data --json --help' ;;
    'aliquot-agent queue import') words='' options='--data --json --help' ;;
    'aliquot-agent address') words='set' options='--help' ;;
    'aliquot-agent address set') words='' options='--data --json --help' ;;
    'aliquot-agent restore') words='' options='--data --json --at --to --path-file --null --help' ;;
    'aliquot-agent status') words='' options='--data --json --today --acknowledge-lost --help' ;;
    'aliquot-agent settings') words='' options='--data --json --acknowledge --help' ;;
    'aliquot-agent versions') words='' options='--data --json --help' ;;
    'aliquot-agent diagnose') words='' options='--data --json --out --log-file --help' ;;
    'aliquot-agent fsck') words='' options='--data --json --repair --help' ;;
  esac
  case "$2" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$2")) ;;
    *) if [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$2")); else COMPREPLY=($(compgen -f -- "$2")); fi ;;
  esac
}
complete -o filenames -F _aliquot_agent aliquot-agent
