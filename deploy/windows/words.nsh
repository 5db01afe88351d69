; What setup says, and where: into its log, onto the console that started it, into its window.

; One line into the log and the window. Uses no register that a caller keeps.
!macro Say TEXT
  Push "${TEXT}"
  Call SayLine
!macroend

; One line with the way out, then the end with an exit code. What was done is undone before.
!macro Fail CODE TEXT
  Push ${CODE}
  Push "${TEXT}"
  Call FailWith
!macroend

; Not in a folder that is somebody else's.
Function OpenLog
  ${If} $Log == ""
  ${AndIf} $Foreign != 1
    CreateDirectory "$INSTDIR"
    IfFileExists "$INSTDIR\setup.log" +3
    FileOpen $Log "$INSTDIR\setup.log" w
    FileWriteUTF16LE /BOM $Log ""
    FileClose $Log
    FileOpen $Log "$INSTDIR\setup.log" a
    FileSeek $Log 0 END
  ${EndIf}
FunctionEnd

Function SayLine
  Exch $R9
  Push $0
  Push $1
  Push $2
  Push $3
  Push $4
  Push $5
  Push $6
  ${If} $Log != ""
    ${GetTime} "" "L" $0 $1 $2 $3 $4 $5 $6
    FileWriteUTF16LE $Log "$2-$1-$0 $4:$5:$6 $R9$\r$\n"
  ${EndIf}
  DetailPrint "$R9"
  Pop $6
  Pop $5
  Pop $4
  Pop $3
  Pop $2
  Pop $1
  Pop $0
  Pop $R9
FunctionEnd

; Onto the console of whoever called, where there is one: a silent setup would else say nothing.
Function SayOnConsole
  Exch $R9
  Push $0
  ${If} ${Silent}
    System::Call 'kernel32::AttachConsole(i -1)'
    System::Call 'kernel32::GetStdHandle(i -11) p .r0'
    FileWrite $0 "Aliquot setup: $R9$\r$\n"
  ${Else}
    MessageBox MB_OK|MB_ICONEXCLAMATION "$R9"
  ${EndIf}
  Pop $0
  Pop $R9
FunctionEnd

Function FailWith
  Exch $R9 ; the text
  Exch
  Exch $R8 ; the code
  Call OpenLog
  !insertmacro Say "$R9"
  Call Undo
  !insertmacro Say "ended with $R8"
  Push "$R9"
  Call SayOnConsole
  SetErrorLevel $R8
  Quit
FunctionEnd

; Runs a command of the host: $R9 holds its arguments. Leaves the exit code in $R8, and what was
; said in $Output on one line. Through a file: what a console program says has no other way here.
!macro RunHost UN
Function ${UN}RunHost
  Push $0
  Push $1
  Push $2
  Push $3
  nsExec::Exec '"$SYSDIR\cmd.exe" /d /s /c ""$INSTDIR\host.exe" $R9 > "$INSTDIR\setup.out" 2>&1"'
  Pop $R8
  StrCpy $Output ""
  System::Alloc 4096
  Pop $1
  System::Call 'kernel32::CreateFileW(w "$INSTDIR\setup.out", i 0x80000000, i 3, p 0, i 3, i 0, p 0) p .r0'
  System::Call 'kernel32::ReadFile(p r0, p r1, i 2000, *i .r2, p 0)'
  System::Call 'kernel32::CloseHandle(p r0)'
  ${If} $2 > 0
    System::Call 'kernel32::MultiByteToWideChar(i 65001, i 0, p r1, i r2, w .r3, i 1000)'
    StrCpy $Output $3
    ${Do} ; without its line end
      StrCpy $3 $Output 1 -1
      ${If} $3 != "$\n"
      ${AndIf} $3 != "$\r"
        ${ExitDo}
      ${EndIf}
      StrCpy $Output $Output -1
    ${Loop}
  ${EndIf}
  System::Free $1
  Delete "$INSTDIR\setup.out"
  ${If} $Log != ""
  ${AndIf} $Output != ""
    FileWriteUTF16LE $Log "$Output$\r$\n"
  ${EndIf}
  Pop $3
  Pop $2
  Pop $1
  Pop $0
FunctionEnd
!macroend
!insertmacro RunHost ""
!insertmacro RunHost "un."

!macro Host ARGUMENTS
  StrCpy $R9 '${ARGUMENTS}'
  Call RunHost
!macroend

; Whether $R7 is a part of $R6, without case: 1 or 0 in $R5.
!macro Contains UN
Function ${UN}Contains
  Push $0
  Push $1
  Push $2
  StrLen $0 $R7
  StrCpy $1 0
  StrCpy $R5 0
  ${Do}
    StrCpy $2 $R6 $0 $1
    ${If} $2 == $R7
      StrCpy $R5 1
      ${ExitDo}
    ${EndIf}
    StrLen $2 $R6
    IntOp $1 $1 + 1
  ${LoopUntil} $1 > $2
  Pop $2
  Pop $1
  Pop $0
FunctionEnd
!macroend
!insertmacro Contains ""
