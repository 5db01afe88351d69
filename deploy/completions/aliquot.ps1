# Completion of aliquot for PowerShell. Made from the commands by `npm run docs`; do not edit.
Register-ArgumentCompleter -Native -CommandName aliquot -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $places = @{
    'aliquot' = @(@('init', 'serve', 'collector', 'kit', 'vault', 'enroll', 'agents', 'agent', 'policy', 'operator', 'release', 'fork', 'find', 'ls', 'versions', 'restore', 'cat', 'diff', 'check', 'stats', 'log', 'queue', 'fsck'), @('--version', '--help'))
    'aliquot init' = @(@(), @('--data', '--name', '--json', '--help'))
    'aliquot serve' = @(@(), @('--data', '--listen', '--tls-cert', '--tls-key', '--help'))
    'aliquot collector' = @(@('address'), @('--help'))
    'aliquot collector address' = @(@('set', 'show'), @('--help'))
    'aliquot collector address set' = @(@(), @('--out', '--url', '--token-file', '--tls-ca', '--vault', '--kit', '--passphrase-file', '--json', '--help'))
    'aliquot collector address show' = @(@(), @('--url', '--token-file', '--tls-ca', '--vault', '--json', '--help'))
    'aliquot kit' = @(@('create', 'verify', 'passphrase'), @('--help'))
    'aliquot kit create' = @(@(), @('--out', '--vault', '--blind', '--weak-passphrase', '--passphrase-file', '--json', '--help'))
    'aliquot kit verify' = @(@(), @('--kit', '--passphrase-file', '--json', '--help'))
    'aliquot kit passphrase' = @(@(), @('--new-passphrase-file', '--weak-passphrase', '--kit', '--passphrase-file', '--json', '--help'))
    'aliquot vault' = @(@('add'), @('--help'))
    'aliquot vault add' = @(@(), @('--collector', '--generation', '--url', '--token-file', '--tls-ca', '--vault', '--kit', '--passphrase-file', '--json', '--help'))
    'aliquot enroll' = @(@(), @('--out', '--list', '--out-dir', '--group', '--uses', '--names', '--approve', '--end-group', '--expires', '--no-self-restore', '--replaces', '--agent-url', '--url', '--token-file', '--tls-ca', '--vault', '--kit', '--passphrase-file', '--json', '--help'))
    'aliquot agents' = @(@('approve'), @('--problems', '--url', '--token-file', '--tls-ca', '--vault', '--json', '--help'))
    'aliquot agents approve' = @(@(), @('--replaces', '--url', '--token-file', '--tls-ca', '--vault', '--kit', '--by', '--passphrase-file', '--json', '--help'))
    'aliquot agent' = @(@('revoke', 'acknowledge', 'gone'), @('--help'))
    'aliquot agent revoke' = @(@(), @('--reason', '--url', '--token-file', '--tls-ca', '--vault', '--json', '--help'))
    'aliquot agent acknowledge' = @(@(), @('--url', '--token-file', '--tls-ca', '--vault', '--json', '--help'))
    'aliquot agent gone' = @(@(), @('--path', '--yes', '--url', '--token-file', '--tls-ca', '--vault', '--kit', '--passphrase-file', '--json', '--help'))
    'aliquot policy' = @(@('get', 'check', 'diff', 'set', 'promote'), @('--help'))
    'aliquot policy get' = @(@(), @('--revision', '--agent', '--url', '--token-file', '--tls-ca', '--vault', '--kit', '--by', '--passphrase-file', '--json', '--help'))
    'aliquot policy check' = @(@(), @('--json', '--help'))
    'aliquot policy diff' = @(@(), @('--canary', '--all', '--url', '--token-file', '--tls-ca', '--vault', '--kit', '--by', '--passphrase-file', '--json', '--help'))
    'aliquot policy set' = @(@(), @('--canary', '--all', '--yes', '--url', '--token-file', '--tls-ca', '--vault', '--kit', '--by', '--passphrase-file', '--json', '--help'))
    'aliquot policy promote' = @(@(), @('--url', '--token-file', '--tls-ca', '--vault', '--json', '--help'))
    'aliquot operator' = @(@('add', 'show'), @('--help'))
    'aliquot operator add' = @(@(), @('--out', '--purposes', '--expires', '--new-passphrase-file', '--weak-passphrase', '--kit', '--passphrase-file', '--json', '--help'))
    'aliquot operator show' = @(@(), @('--by', '--passphrase-file', '--json', '--help'))
    'aliquot release' = @(@('add', 'list', 'remove'), @('--help'))
    'aliquot release add' = @(@(), @('--url', '--token-file', '--tls-ca', '--vault', '--json', '--help'))
    'aliquot release list' = @(@(), @('--url', '--token-file', '--tls-ca', '--vault', '--json', '--help'))
    'aliquot release remove' = @(@(), @('--url', '--token-file', '--tls-ca', '--vault', '--json', '--help'))
    'aliquot fork' = @(@('list', 'decide'), @('--help'))
    'aliquot fork list' = @(@(), @('--url', '--token-file', '--tls-ca', '--vault', '--json', '--help'))
    'aliquot fork decide' = @(@(), @('--restored', '--clone', '--url', '--token-file', '--tls-ca', '--vault', '--json', '--help'))
    'aliquot find' = @(@(), @('--agent', '--sort', '--limit', '--url', '--token-file', '--tls-ca', '--vault', '--kit', '--passphrase-file', '--json', '--help'))
    'aliquot ls' = @(@(), @('--agent', '--at', '--folders', '--path', '--path-file', '--null', '--sort', '--limit', '--url', '--token-file', '--tls-ca', '--vault', '--kit', '--passphrase-file', '--json', '--help'))
    'aliquot versions' = @(@(), @('--agent', '--path', '--url', '--token-file', '--tls-ca', '--vault', '--kit', '--passphrase-file', '--json', '--help'))
    'aliquot restore' = @(@(), @('--agent', '--path', '--path-file', '--null', '--at', '--version', '--to', '--overwrite', '--url', '--token-file', '--tls-ca', '--vault', '--kit', '--passphrase-file', '--json', '--help'))
    'aliquot cat' = @(@(), @('--agent', '--path', '--at', '--version', '--url', '--token-file', '--tls-ca', '--vault', '--kit', '--passphrase-file', '--help'))
    'aliquot diff' = @(@(), @('--agent', '--from', '--to', '--path', '--path-file', '--null', '--url', '--token-file', '--tls-ca', '--vault', '--kit', '--passphrase-file', '--json', '--help'))
    'aliquot check' = @(@(), @('--sample', '--agent', '--url', '--token-file', '--tls-ca', '--vault', '--kit', '--passphrase-file', '--json', '--help'))
    'aliquot stats' = @(@(), @('--url', '--token-file', '--tls-ca', '--vault', '--json', '--help'))
    'aliquot log' = @(@('status', 'reopen'), @('--help'))
    'aliquot log status' = @(@(), @('--url', '--token-file', '--tls-ca', '--vault', '--json', '--help'))
    'aliquot log reopen' = @(@(), @('--url', '--token-file', '--tls-ca', '--vault', '--kit', '--passphrase-file', '--json', '--help'))
    'aliquot queue' = @(@('import'), @('--help'))
    'aliquot queue import' = @(@(), @('--out', '--accept-ended', '--url', '--token-file', '--tls-ca', '--vault', '--json', '--help'))
    'aliquot fsck' = @(@(), @('--data', '--repair', '--json', '--help'))
  }
  $place = 'aliquot'
  foreach ($element in $commandAst.CommandElements | Select-Object -Skip 1) {
    if ($places.ContainsKey("$place $element")) { $place = "$place $element" }
  }
  $offered = if ($wordToComplete.StartsWith('-')) { $places[$place][1] } else { $places[$place][0] }
  $offered | Where-Object { $_ -like "$wordToComplete*" } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
