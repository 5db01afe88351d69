@echo off
rem Runs the built collector on the project's own Node, from any working directory.
setlocal
for %%I in ("%~dp0..") do set "root=%%~fI"
set "node=%root%\node_modules\node\bin\node.exe"
set "main=%root%\collector\dist\program\main.js"
if not exist "%node%" (
  echo aliquot: the project's own Node is not installed; run: cd /d "%root%" ^&^& npm ci ^&^& npm run build [NOT_BUILT] 1>&2
  exit /b 2
)
if not exist "%main%" (
  echo aliquot: not built yet; run: cd /d "%root%" ^&^& npm run build [NOT_BUILT] 1>&2
  exit /b 2
)
rem Restored files are flushed sixteen at a time; each flush waits in a thread of its own, and libuv has four unless told. One limit for objects and buffers together, and a small heap to begin with; a server has more that lives.
if "%~1"=="restore" if not defined UV_THREADPOOL_SIZE set "UV_THREADPOOL_SIZE=16"
set "heap=16"
if "%~1"=="serve" set "heap=32"
"%node%" --external-memory-accounted-in-global-limit --heap-growing-percent=100 --initial-old-space-size=%heap% --max-semi-space-size=2 "%main%" %*
