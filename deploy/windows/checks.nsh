; What is looked at before anything is changed. Each mistake is one line and an exit code.

Function OnlyOne
  System::Call 'kernel32::CreateMutexW(p 0, i 0, w "Global\AliquotAgentSetup") p .r0 ?e'
  Pop $0
  ${If} $0 = 183
    !insertmacro Fail 1 "Another setup of Aliquot Agent is running; wait for it to end and start this one again."
  ${EndIf}
FunctionEnd

; Reads /NAME, /NAME=VALUE and /NAME="VALUE WITH BLANKS". NSIS itself takes /S, /NCRC and /D=.
Function ReadSwitches
  ${GetParameters} $R0
  ${Do}
    ; Without the blanks before it
    ${Do}
      StrCpy $R1 $R0 1
      ${If} $R1 != " "
      ${AndIf} $R1 != "$\t"
        ${ExitDo}
      ${EndIf}
      StrCpy $R0 $R0 "" 1
    ${Loop}
    ${If} $R0 == ""
      ${ExitDo}
    ${EndIf}
    ; One word: up to a blank outside of quotes, and without the quotes
    StrCpy $R2 ""
    StrCpy $R3 0
    ${Do}
      StrCpy $R1 $R0 1
      ${If} $R1 == ""
        ${ExitDo}
      ${EndIf}
      ${If} $R3 = 0
        ${If} $R1 == " "
        ${OrIf} $R1 == "$\t"
          ${ExitDo}
        ${EndIf}
      ${EndIf}
      ${If} $R1 == '"'
        IntOp $R3 1 - $R3
      ${Else}
        StrCpy $R2 "$R2$R1"
      ${EndIf}
      StrCpy $R0 $R0 "" 1
    ${Loop}
    Call TakeSwitch
  ${Loop}
FunctionEnd

Function TakeSwitch
  StrCpy $R4 $R2 8
  StrCpy $R5 $R2 6
  StrCpy $R6 $R2 9
  ${If} $R4 == "/BUNDLE="
    StrCpy $BundleGiven $R2 "" 8
    ${If} $BundleGiven == ""
    ${AndIf} $ByMsi != 1
      !insertmacro Fail 2 "/BUNDLE= names nothing; give the bundle's file, or the folder that holds %COMPUTERNAME%.bundle."
    ${EndIf}
  ${ElseIf} $R5 == "/DATA="
    StrCpy $DataGiven $R2 "" 6
    ${If} $DataGiven == ""
    ${AndIf} $ByMsi != 1
      !insertmacro Fail 2 "/DATA= names nothing; give a folder on a disk of this PC, such as /DATA=D:\Aliquot."
    ${EndIf}
  ${ElseIf} $R6 == "/ACCOUNT="
    StrCpy $Account $R2 "" 9
  ${ElseIf} $R2 == "/NOSTART"
    StrCpy $NoStart 1
  ${ElseIf} $R2 == "/MSI" ; first of all switches; those without a value then count as not given
    StrCpy $ByMsi 1
  ${ElseIf} $R2 == "/UNINSTALL"
    Call Uninstall
  ${ElseIf} $R2 == "/PURGE"
    !insertmacro Fail 2 "/PURGE belongs to the uninstaller: $\"$INSTDIR\uninstall.exe$\" /S /PURGE removes the data too."
  ${ElseIf} $R2 == "/S"
  ${OrIf} $R2 == "/NCRC"
    Nop
  ${Else}
    !insertmacro Fail 2 "$R2 is no switch of this setup; known: /S /BUNDLE=FILE|FOLDER /DATA=FOLDER /ACCOUNT=NAME /NOSTART /D=FOLDER (the last one)."
  ${EndIf}
FunctionEnd

; For the MSI, which has this setup at hand and no word with the uninstaller: what is registered is
; removed, wherever it is, and waited for.
Function Uninstall
  ReadRegStr $0 HKLM "${SERVICE_KEY}" ImagePath
  ${If} $0 != ""
    StrCpy $1 0
    ${Do} ; the folder in "FOLDER\host.exe" as-service ...
      StrCpy $2 $0 9 $1
      ${If} $2 == "\host.exe"
        IntOp $1 $1 - 1
        StrCpy $INSTDIR $0 $1 1
        ${ExitDo}
      ${EndIf}
      IntOp $1 $1 + 1
    ${LoopUntil} $2 == ""
  ${EndIf}
  StrCpy $3 0
  ${If} ${FileExists} "$INSTDIR\uninstall.exe"
    ExecWait '"$INSTDIR\uninstall.exe" /S _?=$INSTDIR' $3
    Delete "$INSTDIR\uninstall.exe" ; it could not remove itself, nor the folder it stands in
    RMDir "$INSTDIR"
    ${GetParent} "$INSTDIR" $0
    RMDir "$0"
  ${EndIf}
  SetErrorLevel $3
  Quit
FunctionEnd

Function CheckWindows
  ReadRegStr $0 HKLM "SOFTWARE\Microsoft\Windows NT\CurrentVersion" CurrentBuildNumber
  ReadRegStr $1 HKLM "SOFTWARE\Microsoft\Windows NT\CurrentVersion" InstallationType
  StrCpy $2 ${OLDEST_CLIENT}
  StrCpy $1 $1 6
  ${If} $1 == "Server"
    StrCpy $2 ${OLDEST_SERVER}
  ${EndIf}
  ${If} $0 < $2
    !insertmacro Fail 1 "This Windows (build $0) is too old: it takes Windows 10 1809, Server 2016, or later. An agent on another PC can back this one up through its share: docs/install-windows.md."
  ${EndIf}
FunctionEnd

; The data folder that a service's command line names: the text behind --data, without quotes.
!macro DataOfService UN
Function ${UN}DataOfService
  Exch $0
  Push $1
  Push $2
  StrCpy $1 0
  ${Do}
    StrCpy $2 $0 8 $1
    ${If} $2 == '--data "'
      IntOp $1 $1 + 8
      StrCpy $0 $0 "" $1
      StrCpy $0 $0 -1 ; the closing quote
      ${ExitDo}
    ${EndIf}
    ${If} $2 == ""
      StrCpy $0 ""
      ${ExitDo}
    ${EndIf}
    IntOp $1 $1 + 1
  ${Loop}
  Pop $2
  Pop $1
  Exch $0
FunctionEnd
!macroend
!insertmacro DataOfService ""
!insertmacro DataOfService "un."

; Whether a folder ($R9) holds anything but setup's own log: 1 or 0 in $R8.
Function HoldsSomething
  Push $0
  Push $1
  StrCpy $R8 0
  FindFirst $0 $1 "$R9\*"
  ${DoWhile} $1 != ""
    ${If} $1 != "."
    ${AndIf} $1 != ".."
    ${AndIf} $1 != "setup.log"
      StrCpy $R8 1
    ${EndIf}
    FindNext $0 $1
  ${Loop}
  FindClose $0
  Pop $1
  Pop $0
FunctionEnd

; Where the programs and the data go, and whether this is an upgrade. Only a registered service
; makes it one: administrators alone can register, while files in a folder prove nothing.
Function CheckPlaces
  ReadRegStr $0 HKLM "${SERVICE_KEY}" ImagePath
  ${If} $0 != ""
    StrCpy $1 '"$INSTDIR\host.exe" '
    StrLen $2 $1
    StrCpy $3 $0 $2
    ${If} $3 != $1
      StrCpy $Foreign 1
      !insertmacro Fail 1 "The service AliquotAgent is there already, as $0; uninstall that one first, or name its folder with /D=."
    ${EndIf}
    FileOpen $4 "$INSTDIR\current" r
    FileRead $4 $OldVersion
    FileClose $4
    ${Do} ; without its line end
      StrCpy $5 $OldVersion 1 -1
      ${If} $5 != "$\n"
      ${AndIf} $5 != "$\r"
        ${ExitDo}
      ${EndIf}
      StrCpy $OldVersion $OldVersion -1
    ${Loop}
    Push $0
    Call DataOfService
    Pop $DataDir
    ${If} $DataGiven != ""
    ${AndIf} $DataGiven != $DataDir
      !insertmacro Fail 2 "This agent keeps its data in $DataDir, not in $DataGiven; leave /DATA out, or uninstall first."
    ${EndIf}
  ${Else}
    StrCpy $R9 $INSTDIR
    Call HoldsSomething
    ${If} $R8 = 1
      StrCpy $Foreign 1
      !insertmacro Fail 1 "$INSTDIR holds something that this setup did not install; remove it, or name another folder with /D=."
    ${EndIf}
    StrCpy $DataDir "$APPDATA\Aliquot\agent"
    ${If} $DataGiven != ""
      StrCpy $DataDir $DataGiven
    ${EndIf}
  ${EndIf}
  Call CheckDataFolder
FunctionEnd

Function CheckDataFolder
  StrCpy $0 $DataDir 2
  StrCpy $1 $DataDir 2 1
  StrCpy $2 $DataDir 3
  System::Call 'kernel32::GetDriveTypeW(w "$2") i .r3'
  ${If} $0 == "\\"
  ${OrIf} $3 = 4
    !insertmacro Fail 2 "The data folder $DataDir is on a share; keys and queue belong on a disk of this PC, such as /DATA=D:\Aliquot."
  ${EndIf}
  StrLen $4 $DataDir
  StrCpy $5 $DataDir 1 -1
  StrCpy $R6 $DataDir
  StrCpy $R7 "%"
  Call Contains
  ${If} $1 != ":\"
  ${OrIf} $4 < 4
  ${OrIf} $5 == "\"
  ${OrIf} $R5 = 1
    !insertmacro Fail 2 "The data folder $DataDir is not a whole path without $\"%$\" and without $\"\$\" at its end; give one such as /DATA=D:\Aliquot."
  ${EndIf}
  ${If} $3 < 2
    !insertmacro Fail 2 "The disk of the data folder $DataDir is not there; give a folder on a disk of this PC, such as /DATA=D:\Aliquot."
  ${EndIf}
  ; Beside the programs it would go with them.
  StrLen $4 "$INSTDIR\"
  StrCpy $5 "$DataDir\" $4
  ${If} $5 == "$INSTDIR\"
    !insertmacro Fail 2 "The data folder $DataDir lies in the install folder; give another one, such as /DATA=D:\Aliquot."
  ${EndIf}
  StrCpy $R9 $DataDir
  Call HoldsSomething
  ${IfNot} ${FileExists} "$DataDir\format.json"
  ${AndIf} $R8 = 1
    !insertmacro Fail 1 "The data folder $DataDir holds what another program wrote; give an empty or a new folder with /DATA=."
  ${EndIf}
  StrCpy $Enrolled 0
  ${If} ${FileExists} "$DataDir\identity\identity.json"
    StrCpy $Enrolled 1
  ${EndIf}
  System::Call 'kernel32::GetDiskFreeSpaceExW(w "$2", *l .r6, p 0, p 0) i .r7'
  ${If} $7 <> 0
    System::Int64Op $6 / 1048576
    Pop $6
    ${If} $6 < ${LEAST_FREE_MB}
      !insertmacro Fail 1 "The disk of the data folder $DataDir is nearly full ($6 MB free); free ${LEAST_FREE_MB} MB, or give a folder on another disk with /DATA=."
    ${EndIf}
  ${EndIf}
FunctionEnd

; The bundle: there, text, and in a folder of many the one for this PC.
Function CheckBundle
  StrCpy $Bundle ""
  ${If} $BundleGiven == ""
    Return
  ${EndIf}
  ReadEnvStr $0 COMPUTERNAME
  StrCpy $Bundle $BundleGiven
  StrCpy $1 0
  ${If} ${FileExists} "$BundleGiven\*.*"
    StrCpy $Bundle "$BundleGiven\$0.bundle"
    StrCpy $1 1
  ${EndIf}
  ${If} $Enrolled == 1
    ; The same command line on every start of the PC: the bundle was used and erased long ago.
    StrCpy $Bundle ""
    Return
  ${EndIf}
  ${IfNot} ${FileExists} "$Bundle"
    !insertmacro Fail 1 "There is no bundle $Bundle; central IT makes one: aliquot enroll $0 --kit KIT --out $0.bundle."
  ${EndIf}
  ClearErrors
  FileOpen $2 "$Bundle" r
  ${If} ${Errors}
    !insertmacro Fail 1 "The bundle $Bundle cannot be read; let this PC's account read it, or close the program that holds it."
  ${EndIf}
  FileReadByte $2 $3
  FileReadByte $2 $4
  ${If} $3 = 255
  ${AndIf} $4 = 254
    StrCpy $3 254
    StrCpy $4 255
  ${EndIf}
  ${If} $3 = 254
  ${AndIf} $4 = 255
    FileClose $2
    !insertmacro Fail 1 "The bundle $Bundle is in UTF-16, as PowerShell's $\">$\" writes; copy the file as it is, with Copy-Item."
  ${EndIf}
  FileSeek $2 0
  ${For} $5 1 20
    FileRead $2 $6
    StrCpy $7 $6 7
    ${If} $7 == "Agent: "
      StrCpy $6 $6 "" 7
      ${ExitFor}
    ${EndIf}
    StrCpy $6 ""
  ${Next}
  FileClose $2
  ${Do} ; without its line end
    StrCpy $7 $6 1 -1
    ${If} $7 != "$\n"
    ${AndIf} $7 != "$\r"
      ${ExitDo}
    ${EndIf}
    StrCpy $6 $6 -1
  ${Loop}
  ${If} $1 = 1
  ${AndIf} $6 != ""
  ${AndIf} $6 != $0
    !insertmacro Fail 1 "The bundle $Bundle is for $6, and this PC is $0; central IT mends the name, or name the file itself with /BUNDLE=."
  ${EndIf}
FunctionEnd
