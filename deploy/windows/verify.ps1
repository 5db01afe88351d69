<#
.SYNOPSIS
  The checklist of what only a real Windows proves about the Aliquot agent.
.DESCRIPTION
  A person runs it once for each release, on a test PC that may be restarted, in an elevated PowerShell
  5.1 or later, and keeps the report. What a script can see it checks; for the rest it says what to
  do and asks what happened. Answers: y (it holds), n (it does not), s (skipped), and a remark.
.EXAMPLE
  .\verify.ps1 -Setup .\aliquot-agent-0.1.0-win-x64-setup.exe -Bundle .\pc-7.bundle
.EXAMPLE
  .\verify.ps1 -Resume .\aliquot-verify-PC-7.txt     after the restarts that the list asks for
#>
[CmdletBinding()]
param(
  [string]$Setup,
  [string]$Bundle,
  [string]$Msi,
  [string]$Resume,
  [string]$Data = "$env:ProgramData\Aliquot\agent"
)

Set-StrictMode -Version 2
$ErrorActionPreference = 'Stop'
$root = "$env:ProgramFiles\Aliquot\agent"
$agentHost = "$root\host.exe"
$report = if ($Resume) { $Resume } else { Join-Path (Get-Location) "aliquot-verify-$env:COMPUTERNAME.txt" }
$done = @{}
if (Test-Path $report) {
  Get-Content $report | Where-Object { $_ -match '^(holds|FAILS|skipped)\s+(\S+)' } | ForEach-Object { $done[$Matches[2]] = $true }
}

function Add-Line([string]$text) { Add-Content -Path $report -Value $text -Encoding UTF8 }

function Write-Result([string]$id, [string]$verdict, [string]$sentence, [string]$remark) {
  Add-Line ("{0,-8} {1,-4} {2}{3}" -f $verdict, $id, $sentence, $(if ($remark) { "  -- $remark" }))
  $color = @{ holds = 'Green'; FAILS = 'Red'; skipped = 'Yellow' }[$verdict]
  Write-Host ("{0,-8} {1,-4} {2} {3}" -f $verdict, $id, $sentence, $remark) -ForegroundColor $color
}

# A check that a script can make: the block returns nothing when it holds, else what is wrong.
function Test-Item([string]$id, [string]$sentence, [scriptblock]$block) {
  if ($done[$id]) { return }
  try {
    $wrong = & $block
    if ($wrong) { Write-Result $id 'FAILS' $sentence "$wrong" } else { Write-Result $id 'holds' $sentence '' }
  } catch {
    Write-Result $id 'FAILS' $sentence $_.Exception.Message
  }
}

# A check that needs hands: says what to do, and asks.
function Ask-Item([string]$id, [string]$sentence, [string[]]$todo) {
  if ($done[$id]) { return }
  Write-Host ''
  Write-Host "[$id] $sentence" -ForegroundColor Cyan
  $todo | ForEach-Object { Write-Host "     $_" }
  do { $answer = Read-Host '     holds? (y/n/s)' } until ($answer -match '^[yns]$')
  $remark = Read-Host '     remark'
  Write-Result $id (@{ y = 'holds'; n = 'FAILS'; s = 'skipped' }[$answer]) $sentence $remark
}

function Get-AgentStatus {
  $text = & $agentHost status --data $Data --json 2>$null | Where-Object { $_ -match '"event":"status"' }
  if (-not $text) { return $null }
  $text | ConvertFrom-Json
}

function Wait-For([int]$seconds, [scriptblock]$block) {
  for ($at = 0; $at -lt $seconds; $at++) {
    if (& $block) { return $true }
    Start-Sleep -Seconds 1
  }
  $false
}

$me = New-Object Security.Principal.WindowsPrincipal ([Security.Principal.WindowsIdentity]::GetCurrent())
if (-not $me.IsInRole([Security.Principal.WindowsBuiltInRole]::Administrator)) {
  Write-Error 'Open PowerShell with "Run as administrator" and start this again.'
}
if (-not $Resume) {
  $system = Get-CimInstance Win32_OperatingSystem
  Add-Line "Aliquot agent, verification on $env:COMPUTERNAME, $(Get-Date -Format 'yyyy-MM-dd HH:mm'), by $env:USERNAME"
  Add-Line "$($system.Caption) $($system.Version), PowerShell $($PSVersionTable.PSVersion)"
  if ($Setup) { Add-Line "setup $((Get-FileHash $Setup -Algorithm SHA256).Hash)  $Setup" }
}

# --- Setup -------------------------------------------------------------------------------------

Test-Item '1.1' 'setup and host carry a valid signature' {
  foreach ($file in @($Setup, $agentHost, "$root\uninstall.exe") | Where-Object { $_ -and (Test-Path $_) }) {
    $signature = Get-AuthenticodeSignature $file
    if ($signature.Status -ne 'Valid') { "${file}: $($signature.Status)" }
  }
}
if ($Setup -and $Bundle) {
  Test-Item '1.2' 'one silent line installs, enrols, connects, and erases the bundle' {
    $run = Start-Process $Setup -ArgumentList '/S', "/BUNDLE=$((Resolve-Path $Bundle).Path)" -Wait -PassThru
    if ($run.ExitCode -ne 0) { "exit code $($run.ExitCode); see $root\setup.log" }
    if (Test-Path $Bundle) { 'the bundle is still there' }
  }
}
Test-Item '1.3' 'node.exe is signed by its maker, unchanged' {
  $node = Get-ChildItem "$root\versions" -Filter node.exe -Recurse | Select-Object -First 1
  $signature = Get-AuthenticodeSignature $node.FullName
  if ($signature.Status -ne 'Valid' -or $signature.SignerCertificate.Subject -notmatch 'OpenJS') { "$($signature.Status) $($signature.SignerCertificate.Subject)" }
}
Test-Item '1.4' 'the service is automatic and delayed, its paths are quoted' {
  $service = Get-ItemProperty HKLM:\SYSTEM\CurrentControlSet\Services\AliquotAgent
  if ($service.Start -ne 2 -or $service.DelayedAutostart -ne 1) { 'not automatic (delayed)' }
  if ($service.ImagePath -notmatch '^"[^"]+\\host\.exe" as-service --data "[^"]+"$') { $service.ImagePath }
}
Test-Item '1.5' 'the service has its own identity and three privileges' {
  if (-not ((sc.exe qsidtype AliquotAgent) -match 'UNRESTRICTED')) { 'its SID type is not unrestricted' }
  $held = @((sc.exe qprivs AliquotAgent) -match 'Se\w+Privilege' -replace '.*(Se\w+Privilege).*', '$1') | Sort-Object
  if (($held -join ' ') -ne 'SeBackupPrivilege SeChangeNotifyPrivilege SeCreateSymbolicLinkPrivilege') { $held -join ' ' }
}
Test-Item '1.6' 'recovery restarts the host, and Windows waits 45 s for it at shutdown' {
  $failure = (sc.exe qfailure AliquotAgent) -join ' '
  if ($failure -notmatch 'RESTART') { $failure }
  $wait = (sc.exe qpreshutdown AliquotAgent 2>$null) -join ' '
  if ($wait -and $wait -notmatch '45000') { $wait }
}
Test-Item '1.7' 'no firewall rule and no restart came with it' {
  $rules = @(Get-NetFirewallRule -ErrorAction SilentlyContinue | Where-Object { $_.DisplayName -match 'aliquot' })
  if ($rules.Count -gt 0) { $rules.DisplayName -join ', ' }
}

# --- Who may read and write ----------------------------------------------------------------------

Test-Item '2.1' 'the data folder is open to the system, administrators and the service only' {
  $acl = Get-Acl $Data
  if (-not $acl.AreAccessRulesProtected) { 'it inherits access from above' }
  foreach ($rule in $acl.Access) {
    $sid = $rule.IdentityReference.Translate([Security.Principal.SecurityIdentifier]).Value
    if ($sid -notmatch '^S-1-5-18$|^S-1-5-32-544$|^S-1-5-80-') { "$($rule.IdentityReference) ($sid)" }
  }
}
Test-Item '2.2' 'ordinary users cannot write among the programs' {
  foreach ($path in @($root) + @(Get-ChildItem $root -Recurse -Directory | ForEach-Object FullName)) {
    foreach ($rule in (Get-Acl $path).Access) {
      $sid = $rule.IdentityReference.Translate([Security.Principal.SecurityIdentifier]).Value
      $writes = $rule.FileSystemRights -band [Security.AccessControl.FileSystemRights]'Write,Delete,ChangePermissions,TakeOwnership'
      if ($rule.AccessControlType -eq 'Allow' -and $writes -and $sid -match '^S-1-(1-0|5-11|5-32-545|5-4)$') { "$path : $sid" }
    }
  }
}
Test-Item '2.3' 'a folder that was opened to Users is refused, with the command that closes it' {
  Stop-Service AliquotAgent
  icacls.exe $Data /grant '*S-1-5-32-545:(OI)(CI)R' | Out-Null
  $said = (& $agentHost backup "$env:windir\win.ini" --data $Data 2>&1) -join ' '
  icacls.exe $Data /remove:g '*S-1-5-32-545' | Out-Null
  Start-Service AliquotAgent
  if ($said -notmatch 'FOLDER_OPEN_TO_OTHERS') { $said }
}
Ask-Item '2.4' 'an ordinary user can ask, and can do nothing else' @(
  'Log on as a user without rights. In a command line:',
  "  `"$agentHost`" status                        must answer",
  "  dir `"$Data`"                                must be denied",
  '  sc stop AliquotAgent                         must be denied',
  "  `"$agentHost`" backup C:\Windows\win.ini --data `"$Data`"   must be denied, and say who may",
  'The Start menu entry "Are my results safe" must open and answer.')
Ask-Item '2.5' 'code that a user plants does not run' @(
  'As that user: mkdir C:\node_modules\bufferutil and put an index.js there that writes a file.',
  'Restart the service, let it connect; the file must not appear.')

# --- Life of the service ---------------------------------------------------------------------------

Test-Item '3.1' 'a killed agent is started again within 10 s' {
  $old = Get-Process node | Where-Object { $_.Path -like "$root\versions\*" } | Select-Object -First 1
  Stop-Process -Id $old.Id -Force
  $back = Wait-For 20 { Get-Process node -ErrorAction SilentlyContinue | Where-Object { $_.Path -like "$root\versions\*" -and $_.Id -ne $old.Id } }
  if (-not $back) { 'no new agent' }
}
Test-Item '3.2' 'a killed host takes its agent along, and recovery starts both' {
  $old = Get-Process host | Where-Object { $_.Path -eq $agentHost } | Select-Object -First 1
  Stop-Process -Id $old.Id -Force
  if (-not (Wait-For 60 { Get-Process host -ErrorAction SilentlyContinue | Where-Object { $_.Path -eq $agentHost -and $_.Id -ne $old.Id } })) { 'no new host' }
  Start-Sleep -Seconds 3
  $agents = @(Get-Process node | Where-Object { $_.Path -like "$root\versions\*" })
  if ($agents.Count -ne 1) { "$($agents.Count) agents run" }
}
Test-Item '3.3' 'stop is clean, and the event log tells start, stop, crash and return in sentences' {
  Restart-Service AliquotAgent
  $events = @(Get-EventLog -LogName Application -Source AliquotAgent -Newest 20)
  foreach ($sentence in 'was started', 'stopped: it was asked', 'ended by itself', 'started again') {
    if (-not ($events | Where-Object { $_.Message -match $sentence })) { "no event says `"$sentence`"" }
  }
}
Ask-Item '3.4' 'a restart and a shutdown are waited for, and it comes back without a log-on' @(
  'Let a large backup run and restart Windows. Before anybody logs on, the collector must hear of the PC.',
  'The event log must say: stopped: Windows is shutting down.')
Ask-Item '3.5' 'power-off loses nothing that was captured' @(
  'Let a large backup run and cut the power. Start again.',
  "  `"$agentHost`" fsck --data `"$Data`"            must find nothing",
  'and what status had called captured must arrive.')
Ask-Item '3.6' 'sleep and hibernation' @('Let it sleep for ten minutes while results wait. After waking they must be sent within two minutes.')

# --- What it reads ----------------------------------------------------------------------------------

Ask-Item '4.1' 'results behind other people''s access lists are read' @(
  'Make a source folder of which SYSTEM and Administrators are taken out (icacls /inheritance:r /grant someuser:F).',
  'A new file in it must become safe.')
Ask-Item '4.2' 'streams, junctions and cloud files are named or left, never followed or fetched' @(
  'In a source: a file with a stream (Set-Content f.txt:extra x), a junction (mklink /J j C:\Windows), a OneDrive',
  'file that is "online only". status must name the stream; nothing of C:\Windows may be captured; the cloud',
  'file must stay online only.')
Ask-Item '4.3' 'events come from every depth' @(
  'Write a file ten folders deep in an old folder of a source with scanIntervalSeconds: 3600. It must be safe within two minutes.')
Ask-Item '4.4' 'a share is read with the computer account, or the account of /ACCOUNT=' @(
  'Name \\server\share as a source; give PC$ read access. A new file must become safe. A mapped drive letter must be warned of.')
Ask-Item '4.5' 'attributes and times come back' @('Back up and restore a hidden, a read-only and a compressed file; compare attrib and times.')
Ask-Item '4.6' 'a program that locks its file is waited for' @('Keep a result open in its program, without sharing. It must be named in status, and become safe when the program is closed.')

# --- Others ------------------------------------------------------------------------------------------

Test-Item '5.1' 'Defender finds nothing in the programs' {
  if (-not (Get-Command Start-MpScan -ErrorAction SilentlyContinue)) { return 'Defender is not here' }
  Start-MpScan -ScanType CustomScan -ScanPath $root
  $threats = @(Get-MpThreatDetection -ErrorAction SilentlyContinue | Where-Object { ($_.Resources -join ' ') -match 'aliquot' })
  if ($threats.Count -gt 0) { ($threats | ForEach-Object { $_.Resources }) -join ', ' }
}
Ask-Item '5.2' 'SmartScreen and the browser let the download through' @('Download the setup with Edge and start it by a double click.')
Ask-Item '5.3' 'an upgrade over a running backup keeps queue and history' @('Run the next setup while it sends; status and the collector must agree afterwards.')
if ($Msi) {
  Ask-Item '5.4' 'the MSI installs and removes silently' @(
    'Uninstall first, and have a new bundle at hand.',
    "  msiexec /i $Msi /qn /l*v msi.log BUNDLE=C:\full\path\to.bundle    exit code 0, service runs, one entry in Apps",
    "  msiexec /x $Msi /qn                                               nothing but the data folder is left",
    'With a bundle that is none it must end with 1603 and leave nothing.')
}
Ask-Item '5.5' 'uninstall leaves nothing but data' @(
  "  `"$root\uninstall.exe`" /S",
  'Look at the install folder, the Start menu, Apps, services, and HKLM\SYSTEM\CurrentControlSet\Services\EventLog\Application.')

$lines = Get-Content $report
$held = @($lines -match '^holds').Count
$failed = @($lines -match '^FAILS').Count
$skipped = @($lines -match '^skipped').Count
Add-Line "$held hold, $failed fail, $skipped skipped"
Write-Host ''
Write-Host "$held hold, $failed fail, $skipped skipped; the report is $report. Keep it with the release." -ForegroundColor Cyan
if ($failed -gt 0) { exit 1 }
