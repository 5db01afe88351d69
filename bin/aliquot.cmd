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
rem Sixteen files are flushed at a time. One limit for objects and buffers together, and a small young generation; a smaller heap where much is done.
set "heap=--initial-old-space-size=32 --max-semi-space-size=4"
if "%~1"=="restore" if not defined UV_THREADPOOL_SIZE set "UV_THREADPOOL_SIZE=16"
if "%~1"=="serve" set "heap=--initial-old-space-size=32 --max-semi-space-size=2"
if "%~1"=="check" set "heap=--initial-old-space-size=16 --max-semi-space-size=2"
if "%~1"=="restore" set "heap=--initial-old-space-size=16 --max-semi-space-size=2"
"%node%" --external-memory-accounted-in-global-limit --heap-growing-percent=100 %heap% "%main%" %*
