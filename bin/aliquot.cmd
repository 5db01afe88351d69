@echo off
rem Runs the built collector on the project's own Node, from any working directory.
setlocal
set "root=%~dp0.."
set "node=%root%\node_modules\node\bin\node.exe"
set "main=%root%\collector\dist\program\main.js"
if not exist "%node%" (
  echo aliquot: the project's own Node is not installed; run npm ci and npm run build in "%root%" [NOT_BUILT] 1>&2
  exit /b 2
)
if not exist "%main%" (
  echo aliquot: not built yet; run npm run build in "%root%" [NOT_BUILT] 1>&2
  exit /b 2
)
rem Sixteen files are flushed at a time; a small young generation keeps the server small.
set "flags="
if "%~1"=="restore" if not defined UV_THREADPOOL_SIZE set "UV_THREADPOOL_SIZE=16"
if "%~1"=="serve" set "flags=--max-semi-space-size=4 --initial-heap-size=64"
"%node%" %flags% "%main%" %*
