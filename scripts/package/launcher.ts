/**
 * The launcher in a package says what the one in `bin/` says, but for where its folder, Node and
 * the program lie: beside it. Made from it, so that there is one text to mend.
 */
type Edit = readonly [pattern: RegExp, replacement: string];

const REINSTALL = 'the installation is not whole: install it again [NOT_BUILT]';

const shell: readonly Edit[] = [
  [/"\$\(dirname "\$self"\)\/\.\."/, '"$(dirname "$self")"'],
  [/^# npm installs .*\nfor node in [^;]*; do\n.*\ndone$/m, 'node=$root/node'],
  [/^program=.*$/m, 'program=$root/program'],
  [/the project's own Node is not installed; run: .* \[NOT_BUILT\]/, REINSTALL],
  [/not built yet; run: .* \[NOT_BUILT\]/, REINSTALL],
  [/on the project's own Node/, 'on the Node beside it'],
];

const batch: readonly Edit[] = [
  [/"%~dp0\.\."/, '"%~dp0."'],
  [/^set "node=.*"/m, 'set "node=%root%\\node.exe"'],
  [/^set "program=.*"/m, 'set "program=%root%\\program"'],
  [/the project's own Node is not installed; run: .* \[NOT_BUILT\]/, REINSTALL],
  [/not built yet; run: .* \[NOT_BUILT\]/, REINSTALL],
  [/on the project's own Node/, 'on the Node beside it'],
];

/** The packaged launcher out of the text of `bin/NAME` or, for Windows, `bin/NAME.cmd`. */
export function packagedLauncher(text: string, windows: boolean): string {
  let made = text.replaceAll('\r\n', '\n');
  for (const [pattern, replacement] of windows ? batch : shell) {
    if (!pattern.test(made))
      throw new Error(
        `the launcher in bin/ has no line like ${pattern}: mend scripts/package/launcher.ts with it`,
      );
    made = made.replace(pattern, () => replacement);
  }
  return windows ? made.replaceAll('\n', '\r\n') : made;
}

/**
 * `bin/COMMAND` of a folder install: what people have on their PATH. It starts the launcher of the
 * version that `current` names, so that an update changes nothing here.
 */
export function currentLauncher(command: string, windows: boolean): string {
  if (windows) {
    return [
      '@echo off',
      `rem Runs the version of ${command} that the file "current" names.`,
      'setlocal',
      'for %%I in ("%~dp0..") do set "root=%%~fI"',
      'set "version="',
      'if exist "%root%\\current" set /p version=<"%root%\\current"',
      `if not exist "%root%\\versions\\%version%\\launcher.cmd" (`,
      `  echo ${command}: ${REINSTALL} 1>&2`,
      '  exit /b 2',
      ')',
      `"%root%\\versions\\%version%\\launcher.cmd" %*`,
      '',
    ].join('\r\n');
  }
  return [
    '#!/bin/sh',
    `# Runs the version of ${command} that the file "current" names.`,
    'self=$0',
    'while [ -L "$self" ]; do',
    '  link=$(readlink "$self")',
    '  case $link in',
    '    /*) self=$link ;;',
    '    *) self=$(dirname "$self")/$link ;;',
    '  esac',
    'done',
    `root=$(CDPATH='' cd "$(dirname "$self")/.." && pwd -P) || exit 2`,
    'read -r version <"$root/current" || exit 2',
    `exec "$root/versions/$version/launcher" "$@"`,
    '',
  ].join('\n');
}
