# Completion of aliquot-agent for PowerShell. Made from the commands by `npm run docs`; do not edit.
Register-ArgumentCompleter -Native -CommandName aliquot-agent -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $places = @{
    'aliquot-agent' = @(@('enroll', 'run', 'service', 'config', 'backup', 'flush', 'queue', 'address', 'restore', 'status', 'settings', 'versions', 'diagnose', 'fsck'), @('--version', '--help'))
    'aliquot-agent enroll' = @(@(), @('--data', '--json', '--name', '--help'))
    'aliquot-agent run' = @(@(), @('--data', '--json', '--config', '--log-file', '--help'))
    'aliquot-agent service' = @(@('install', 'uninstall', 'start', 'stop', 'status'), @('--help'))
    'aliquot-agent service install' = @(@(), @('--data', '--json', '--account', '--help'))
    'aliquot-agent service uninstall' = @(@(), @('--data', '--json', '--help'))
    'aliquot-agent service start' = @(@(), @('--data', '--json', '--help'))
    'aliquot-agent service stop' = @(@(), @('--data', '--json', '--help'))
    'aliquot-agent service status' = @(@(), @('--data', '--json', '--help'))
    'aliquot-agent config' = @(@('check'), @('--help'))
    'aliquot-agent config check' = @(@(), @('--data', '--json', '--help'))
    'aliquot-agent backup' = @(@(), @('--data', '--json', '--offline', '--dry-run', '--exclude', '--accept-gone', '--path-file', '--null', '--help'))
    'aliquot-agent flush' = @(@(), @('--data', '--json', '--help'))
    'aliquot-agent queue' = @(@('export', 'import'), @('--help'))
    'aliquot-agent queue export' = @(@(), @('--data', '--json', '--help'))
    'aliquot-agent queue import' = @(@(), @('--data', '--json', '--help'))
    'aliquot-agent address' = @(@('set'), @('--help'))
    'aliquot-agent address set' = @(@(), @('--data', '--json', '--help'))
    'aliquot-agent restore' = @(@(), @('--data', '--json', '--at', '--to', '--path-file', '--null', '--help'))
    'aliquot-agent status' = @(@(), @('--data', '--json', '--today', '--acknowledge-lost', '--help'))
    'aliquot-agent settings' = @(@(), @('--data', '--json', '--acknowledge', '--help'))
    'aliquot-agent versions' = @(@(), @('--data', '--json', '--help'))
    'aliquot-agent diagnose' = @(@(), @('--data', '--json', '--out', '--log-file', '--help'))
    'aliquot-agent fsck' = @(@(), @('--data', '--json', '--repair', '--help'))
  }
  $place = 'aliquot-agent'
  foreach ($element in $commandAst.CommandElements | Select-Object -Skip 1) {
    if ($places.ContainsKey("$place $element")) { $place = "$place $element" }
  }
  $offered = if ($wordToComplete.StartsWith('-')) { $places[$place][1] } else { $places[$place][0] }
  $offered | Where-Object { $_ -like "$wordToComplete*" } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
