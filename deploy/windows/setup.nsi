; Setup of the agent for Windows. Made by `npm run package -- --target win-x64`, which defines
;   VERSION  such as 0.2.0         SOURCE  a folder install: host.exe, bin, versions\VERSION
;   OUT      the setup to write    SIGN    a command that signs the uninstaller, or empty
;   QUICK    for tests: packs less well
; The MSI (agent.wxs) calls it with /MSI and /UNINSTALL, which are nobody else's.
;
; Exit codes: 0 done, and connected or waiting for the collector; 1 failed, and everything is as
; before; 2 a wrong switch, nothing was done; 3 installed, and this PC is not enrolled.
; Every step stands in setup.log in the install folder, where ordinary users cannot write.

Unicode true
Target amd64-unicode
ManifestSupportedOS all
ManifestDPIAware true
RequestExecutionLevel admin
!ifdef QUICK ; for tests: larger, and made in seconds
  SetCompressor zlib
  SetCompress off
!else
  SetCompressor /SOLID lzma
  SetCompressorDictSize 64
!endif
SetDateSave off
SetOverwrite try
AllowSkipFiles off
CRCCheck on
Name "Aliquot Agent"
Caption "Aliquot Agent ${VERSION}"
BrandingText " "
OutFile "${OUT}"
InstallDir "$PROGRAMFILES64\Aliquot\agent"
ShowInstDetails show
ShowUninstDetails show
VIProductVersion "${NUMBERS}"
VIAddVersionKey ProductName "Aliquot Agent"
VIAddVersionKey ProductVersion "${VERSION}"
VIAddVersionKey FileVersion "${VERSION}"
VIAddVersionKey FileDescription "Aliquot Agent setup"
VIAddVersionKey CompanyName "The Aliquot authors"
VIAddVersionKey LegalCopyright "Apache-2.0"
!if "${SIGN}" != ""
  !uninstfinalize '${SIGN} "%1"'
!endif

!include LogicLib.nsh
!include FileFunc.nsh
!include WordFunc.nsh
!include nsDialogs.nsh

!define SERVICE_KEY "SYSTEM\CurrentControlSet\Services\AliquotAgent"
!define UNINSTALL_KEY "Software\Microsoft\Windows\CurrentVersion\Uninstall\AliquotAgent"
; Windows 10 1809; Node needs it, and Server 2016 of the servers.
!define OLDEST_CLIENT 17763
!define OLDEST_SERVER 14393
; Less than this beside the data, and the first queue would fill the disk.
!define LEAST_FREE_MB 1024

Var Log         ; the open log, or empty before there is one
Var DataDir     ; where the agent keeps its data
Var DataGiven   ; the same as /DATA named it, or empty
Var Bundle      ; the bundle's file, or empty
Var BundleGiven ; what /BUNDLE named
Var Account
Var NoStart
Var Purge
Var ByMsi       ; 1 when the MSI runs this setup
Var OldVersion  ; the version that an upgrade replaces, or empty for a new install
Var Keep        ; 1 when what is installed stays: the same and running, or newer
Var Enrolled    ; 1 when the data folder holds an identity
Var Foreign     ; 1 when the install folder is not ours to write in
Var Touched     ; 1 once something was changed that must be undone when a later step fails
Var Output      ; what the last command said, on one line
Var Problem     ; why this PC is not enrolled, or empty

!include "words.nsh"
!include "checks.nsh"
!include "steps.nsh"

Page custom AskForBundle TakeBundle
Page instfiles
UninstPage uninstConfirm
UninstPage instfiles

Function .onInit
  SetRegView 64
  SetShellVarContext all
  Call OnlyOne
  Call ReadSwitches
  Call CheckWindows
  Call CheckPlaces
  Call CheckBundle
FunctionEnd

; Asked only by whoever double-clicks: a silent setup takes /BUNDLE, and an enrolled PC needs none.
Function AskForBundle
  ${If} $Enrolled == 1
  ${OrIf} $Bundle != ""
    Abort
  ${EndIf}
  nsDialogs::Create 1018
  Pop $0
  ${NSD_CreateLabel} 0 0 100% 36u "The bundle that central IT made for this PC enrols it. Without one the agent is installed and backs nothing up until somebody enrols it."
  Pop $0
  ${NSD_CreateLabel} 0 44u 100% 10u "Bundle:"
  Pop $0
  ${NSD_CreateFileRequest} 0 56u 78% 12u ""
  Pop $1
  ${NSD_CreateBrowseButton} 80% 55u 20% 14u "Browse..."
  Pop $2
  ${NSD_OnClick} $2 BrowseForBundle
  nsDialogs::Show
FunctionEnd

Function BrowseForBundle
  Pop $0
  nsDialogs::SelectFileDialog open "" "Bundles (*.bundle)|*.bundle|All files|*.*"
  Pop $0
  ${If} $0 != ""
    ${NSD_SetText} $1 $0
  ${EndIf}
FunctionEnd

Function TakeBundle
  ${NSD_GetText} $1 $BundleGiven
  Call CheckBundle
FunctionEnd

Section
  Call OpenLog
  !insertmacro Say "Aliquot Agent ${VERSION} into $INSTDIR, data in $DataDir"
  Call SeeWhatIsThere
  ${If} $Keep != 1
    Call StopOld
    Call CopyFiles
  ${EndIf}
  Call Enrol
  ${If} $Keep != 1
    Call Register
    Call Announce
  ${EndIf}
  Call StartAndSee
  Call EraseBundle
  ${If} $Keep != 1
    Call ForgetOldVersions
  ${EndIf}
  Call Conclude
SectionEnd

Function .onInstFailed
  Call Undo
  SetErrorLevel 1
FunctionEnd

Function un.onInit
  SetRegView 64
  SetShellVarContext all
  StrCpy $Log ""
  ${GetParameters} $0
  ClearErrors
  ${GetOptions} $0 "/PURGE" $1
  ${IfNot} ${Errors}
    StrCpy $Purge 1
  ${EndIf}
  ReadRegStr $0 HKLM "${SERVICE_KEY}" ImagePath
  Push $0
  Call un.DataOfService
  Pop $DataDir
FunctionEnd

Section Uninstall
  Call un.RemoveService
  Call un.RemoveFiles
  Call un.RemoveData
SectionEnd
