@echo off
rem Runs the built agent on the project's own Node, from any working directory.
setlocal
for %%I in ("%~dp0..") do set "root=%%~fI"
set "node=%root%\node_modules\node\bin\node.exe"
set "main=%root%\agent\dist\program\main.js"
if not exist "%node%" (
  echo aliquot-agent: the project's own Node is not installed; run: cd /d "%root%" ^&^& npm ci ^&^& npm run build [NOT_BUILT] 1>&2
  exit /b 2
)
if not exist "%main%" (
  echo aliquot-agent: not built yet; run: cd /d "%root%" ^&^& npm run build [NOT_BUILT] 1>&2
  exit /b 2
)
rem One limit for objects and buffers together, a small heap to begin with, and code for size.
set "flags=--external-memory-accounted-in-global-limit --heap-growing-percent=100 --initial-old-space-size=16 --optimize-for-size --no-parallel-scavenge"
"%node%" %flags% "%main%" %*
