; The steps, in their order, and how they are undone.

; A start-up script runs the same setup every day, and the desk may have brought a newer version
; since: both leave the running agent alone. One of this version that does not run is repaired.
Function SeeWhatIsThere
  ${If} $OldVersion == ""
    Return
  ${EndIf}
  ${VersionCompare} $OldVersion "${VERSION}" $0
  ${If} $0 = 1
    StrCpy $Keep 1
    !insertmacro Say "version $OldVersion is installed, which is newer, and stays; to go back, uninstall (data stays) and run this setup again"
  ${ElseIf} $0 = 0
    !insertmacro Say "this version is installed already"
    !insertmacro Host "control state"
    ${If} $R8 == 0
      StrCpy $Keep 1
    ${EndIf}
    ${If} $Enrolled == 1
    ${AndIf} $NoStart != 1
      !insertmacro Host 'service start --data "$DataDir"'
      ${If} $R8 != 0
      ${AndIf} $R8 != 3
        StrCpy $Keep 0
        !insertmacro Say "it does not run, and is repaired"
      ${EndIf}
    ${EndIf}
  ${EndIf}
FunctionEnd

; An upgrade waits for the agent to end: what it holds in its hands goes into its queue.
Function StopOld
  ${If} $OldVersion != ""
    !insertmacro Say "stopping version $OldVersion"
    !insertmacro Host "control stop"
    ${If} $R8 != 0
      !insertmacro Fail 1 "The running agent cannot be stopped: $Output"
    ${EndIf}
    StrCpy $Touched 1
  ${EndIf}
FunctionEnd

Function CopyFiles
  StrCpy $Touched 1
  !insertmacro Say "copying the programs"
  ; Who may write here becomes the system: nobody but the system and administrators, wherever it is.
  ; The owner first: who made the folder before, empty, could give it back to himself.
  nsExec::Exec '"$SYSDIR\icacls.exe" "$INSTDIR" /setowner *S-1-5-32-544 /Q'
  Pop $0
  ${If} $0 != 0
    !insertmacro Say "icacls ended with $0: the owner of $INSTDIR stays as it was"
  ${EndIf}
  nsExec::Exec '"$SYSDIR\icacls.exe" "$INSTDIR" /inheritance:r /grant:r *S-1-5-18:(OI)(CI)F *S-1-5-32-544:(OI)(CI)F *S-1-5-32-545:(OI)(CI)RX /Q'
  Pop $0
  ${If} $0 != 0
    !insertmacro Say "icacls ended with $0: who may write into $INSTDIR stays as it was"
  ${EndIf}
  ; Looked at before, and again now that nobody else can put anything there.
  ${If} $OldVersion == ""
    StrCpy $R9 $INSTDIR
    Call HoldsSomething
    ${If} $R8 = 1
      StrCpy $Touched 0
      !insertmacro Fail 1 "$INSTDIR holds something that this setup did not install; remove it, or name another folder with /D=."
    ${EndIf}
  ${EndIf}
  ${If} $OldVersion != ""
    Delete "$INSTDIR\host.old"
    Rename "$INSTDIR\host.exe" "$INSTDIR\host.old"
  ${EndIf}
  ClearErrors
  SetOutPath "$INSTDIR"
  File "${SOURCE}\host.exe"
  SetOutPath "$INSTDIR\bin"
  File /r "${SOURCE}\bin\*.*"
  SetOutPath "$INSTDIR\versions\${VERSION}"
  File /r "${SOURCE}\versions\${VERSION}\*.*"
  SetOutPath "$INSTDIR"
  WriteUninstaller "$INSTDIR\uninstall.exe"
  ${If} ${Errors}
    !insertmacro Fail 1 "Not all programs could be copied into $INSTDIR; free some space, or close the program that holds a file there."
  ${EndIf}
  StrCpy $R9 "${VERSION}"
  Call WriteCurrent
FunctionEnd

; Names the version to start ($R9), in one step: the file is replaced whole.
Function WriteCurrent
  FileOpen $0 "$INSTDIR\current.new" w
  FileWrite $0 "$R9$\n"
  FileClose $0
  System::Call 'kernel32::MoveFileExW(w "$INSTDIR\current.new", w "$INSTDIR\current", i 9) i .r0'
  ${If} $0 = 0
    !insertmacro Fail 1 "$INSTDIR\current cannot be written; free some space, or close the program that holds it."
  ${EndIf}
FunctionEnd

Function Enrol
  StrCpy $Problem ""
  ${If} $Enrolled = 1
    !insertmacro Say "this PC is enrolled already; no bundle is needed"
  ${ElseIf} $Bundle == ""
    StrCpy $Problem "no bundle was given"
  ${Else}
    !insertmacro Say "enrolling with $Bundle"
    !insertmacro Host 'enroll "$Bundle" --data "$DataDir"'
    ${If} $R8 == 0
      StrCpy $Enrolled 1
    ${Else}
      ; The bundle, or the way to the collector: the agent is installed, and enrolled another time.
      StrCpy $R6 $Output
      StrCpy $R7 "[BUNDLE_"
      Call Contains
      ${If} $R5 = 0
        StrCpy $R7 "[ENROL_"
        Call Contains
      ${EndIf}
      ${If} $R5 = 0
        !insertmacro Fail 1 "This PC cannot be enrolled: $Output"
      ${EndIf}
      StrCpy $Problem $Output
    ${EndIf}
  ${EndIf}
FunctionEnd

Function Register
  !insertmacro Say "registering the service"
  StrCpy $0 'control register --data "$DataDir"'
  ${If} $Account != ""
    StrCpy $0 '$0 --account "$Account"'
  ${EndIf}
  !insertmacro Host "$0"
  ${If} $R8 != 0
    !insertmacro Fail 1 "The service cannot be registered: $Output"
  ${EndIf}
FunctionEnd

; Where people and inventories look: the list of programs, and the Start menu.
Function Announce
  ${If} $ByMsi != 1
    Call ListProgram
  ${EndIf}
  CreateDirectory "$SMPROGRAMS\Aliquot"
  CreateShortcut "$SMPROGRAMS\Aliquot\Are my results safe.lnk" "$SYSDIR\cmd.exe" \
    '/d /s /c "title Aliquot & chcp 65001 >nul & "$INSTDIR\host.exe" status & pause"' "$INSTDIR\host.exe" 0 SW_SHOWNORMAL "" \
    "Says whether every result of this PC is safe"
FunctionEnd

Function ListProgram
  WriteRegStr HKLM "${UNINSTALL_KEY}" DisplayName "Aliquot Agent"
  WriteRegStr HKLM "${UNINSTALL_KEY}" DisplayVersion "${VERSION}"
  WriteRegStr HKLM "${UNINSTALL_KEY}" Publisher "The Aliquot authors"
  WriteRegStr HKLM "${UNINSTALL_KEY}" InstallLocation "$INSTDIR"
  WriteRegStr HKLM "${UNINSTALL_KEY}" DisplayIcon "$INSTDIR\host.exe"
  WriteRegStr HKLM "${UNINSTALL_KEY}" UninstallString '"$INSTDIR\uninstall.exe"'
  WriteRegStr HKLM "${UNINSTALL_KEY}" QuietUninstallString '"$INSTDIR\uninstall.exe" /S'
  WriteRegDWORD HKLM "${UNINSTALL_KEY}" NoModify 1
  WriteRegDWORD HKLM "${UNINSTALL_KEY}" NoRepair 1
  ${GetSize} "$INSTDIR" "/S=0K" $0 $1 $2
  WriteRegDWORD HKLM "${UNINSTALL_KEY}" EstimatedSize $0
FunctionEnd

; Starts the agent and waits for its word. A new version that does not get there makes room for the
; old one; so does a first one that cannot run at all.
Function StartAndSee
  ${If} $NoStart == 1
    !insertmacro Say "not started, as /NOSTART asks"
    Return
  ${EndIf}
  ${If} $Enrolled != 1
    Return
  ${EndIf}
  !insertmacro Say "starting the agent"
  !insertmacro Host 'service start --data "$DataDir"'
  ${If} $R8 == 3
    StrCpy $Problem $Output
  ${ElseIf} $R8 != 0
    !insertmacro Fail 1 "The agent does not run: $Output"
  ${EndIf}
FunctionEnd

; The bundle is a secret of this PC: overwritten, flushed, removed. One for a group still has
; other PCs to enrol, and one on a share that is read only stays; both are said.
Function EraseBundle
  ${If} $Bundle == ""
  ${OrIf} $Enrolled != 1
    Return
  ${EndIf}
  FileOpen $0 "$Bundle" r
  ${For} $1 1 20
    FileRead $0 $2
    StrCpy $3 $2 7
    ${If} $3 == "Group: "
      FileClose $0
      !insertmacro Say "$Bundle is for a group and stays; erase it when the last PC is enrolled"
      Return
    ${EndIf}
  ${Next}
  FileSeek $0 0 END $1
  FileClose $0
  ClearErrors
  FileOpen $0 "$Bundle" a
  ${IfNot} ${Errors}
    FileSeek $0 0
    ${For} $2 1 $1
      FileWriteByte $0 0
    ${Next}
    System::Call 'kernel32::FlushFileBuffers(p r0)'
    FileClose $0
    Delete "$Bundle"
  ${EndIf}
  ${If} ${FileExists} "$Bundle"
    !insertmacro Say "$Bundle cannot be erased here; it is of no more use and still a secret: erase it"
  ${Else}
    !insertmacro Say "erased $Bundle"
  ${EndIf}
FunctionEnd

; The version before this one stays, to go back to by hand; older ones go.
Function ForgetOldVersions
  FindFirst $0 $1 "$INSTDIR\versions\*"
  ${DoWhile} $1 != ""
    ${If} $1 != "."
    ${AndIf} $1 != ".."
    ${AndIf} $1 != "${VERSION}"
    ${AndIf} $1 != $OldVersion
      RMDir /r "$INSTDIR\versions\$1"
    ${EndIf}
    FindNext $0 $1
  ${Loop}
  FindClose $0
  Delete "$INSTDIR\host.old"
FunctionEnd

Function Conclude
  StrCpy $Touched 0
  ${If} $Enrolled == 1
  ${AndIf} $Problem == ""
    !insertmacro Say "done"
    FileClose $Log
    SetErrorLevel 0
    Return
  ${EndIf}
  ${If} $ByMsi == 1
  ${AndIf} $BundleGiven == ""
    !insertmacro Say "done; this PC is not enrolled yet, and no bundle was given"
    FileClose $Log
    SetErrorLevel 0
    Return
  ${EndIf}
  StrCpy $0 'Installed, and this PC is not enrolled: $Problem. Then: "$INSTDIR\host.exe" enroll BUNDLE --data "$DataDir", and "$INSTDIR\host.exe" service start'
  !insertmacro Say "$0"
  FileClose $Log
  Push $0
  Call SayOnConsole
  SetErrorLevel 3
FunctionEnd

; Back to how it was: the old version runs again, or nothing is installed. Data that was made stays:
; keys of this PC that the collector may know already.
Function Undo
  ${If} $Touched != 1
    Return
  ${EndIf}
  StrCpy $Touched 0
  Push $R8
  Push $R9
  ${If} $OldVersion != ""
    !insertmacro Say "back to version $OldVersion"
    !insertmacro Host "control stop"
    FileOpen $0 "$INSTDIR\current" w
    FileWrite $0 "$OldVersion$\n"
    FileClose $0
    ${If} ${FileExists} "$INSTDIR\host.old"
      Delete "$INSTDIR\host.exe"
      Rename "$INSTDIR\host.old" "$INSTDIR\host.exe"
    ${EndIf}
    ${If} $OldVersion != "${VERSION}"
      RMDir /r "$INSTDIR\versions\${VERSION}"
    ${EndIf}
    !insertmacro Host "control start"
  ${Else}
    !insertmacro Say "removing what was installed"
    !insertmacro Host "control unregister"
    RMDir /r "$INSTDIR\versions"
    RMDir /r "$INSTDIR\bin"
    Delete "$INSTDIR\host.exe"
    Delete "$INSTDIR\current"
    Delete "$INSTDIR\uninstall.exe"
    DeleteRegKey HKLM "${UNINSTALL_KEY}"
    Delete "$SMPROGRAMS\Aliquot\Are my results safe.lnk"
    RMDir "$SMPROGRAMS\Aliquot"
  ${EndIf}
  Pop $R9
  Pop $R8
FunctionEnd

Function un.RemoveService
  DetailPrint "stopping and removing the service"
  StrCpy $R9 "control unregister"
  Call un.RunHost
  ${If} $R8 != 0
    ${IfNot} ${Silent}
      MessageBox MB_OK|MB_ICONEXCLAMATION "The service cannot be removed: $Output"
    ${EndIf}
    SetErrorLevel 1
    Quit
  ${EndIf}
FunctionEnd

Function un.RemoveFiles
  RMDir /r "$INSTDIR\versions"
  RMDir /r "$INSTDIR\bin"
  Delete "$INSTDIR\host.exe"
  Delete "$INSTDIR\host.old"
  Delete "$INSTDIR\current"
  Delete "$INSTDIR\staged"
  Delete "$INSTDIR\trial"
  Delete "$INSTDIR\confirmed"
  Delete "$INSTDIR\bad"
  Delete "$INSTDIR\*.new"
  Delete "$INSTDIR\setup.log"
  Delete "$INSTDIR\uninstall.exe"
  RMDir "$INSTDIR"
  ${GetParent} "$INSTDIR" $0
  RMDir "$0" ; only when nothing else of Aliquot is in it
  Delete "$SMPROGRAMS\Aliquot\Are my results safe.lnk"
  RMDir "$SMPROGRAMS\Aliquot"
  DeleteRegKey HKLM "${UNINSTALL_KEY}"
FunctionEnd

; What was backed up is at the collector; what still waits in the queue is only here. So data goes
; only when somebody says so, and only a folder that says of itself that it is an agent's.
Function un.RemoveData
  ${If} $Purge != 1
  ${OrIf} $DataDir == ""
  ${OrIfNot} ${FileExists} "$DataDir\format.json"
    Return
  ${EndIf}
  FileOpen $0 "$DataDir\format.json" r
  FileRead $0 $1
  FileClose $0
  ${If} $1 == '{"kind":"aliquot-agent","version":3}$\n'
    RMDir /r "$DataDir"
    ${If} $DataDir == "$APPDATA\Aliquot\agent"
      RMDir "$APPDATA\Aliquot"
    ${EndIf}
  ${EndIf}
FunctionEnd
