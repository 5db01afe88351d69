import type { Command } from 'commander';
import { allCommands, visibleOptions } from './programs.ts';

/*
 * Completion for the shells, made of the commands: words of commands, options behind a dash, file
 * names everywhere else. Nothing is asked of a collector while somebody types.
 */

interface Place {
  /** `aliquot kit create`. */
  readonly path: string;
  readonly words: readonly { readonly name: string; readonly says: string }[];
  readonly options: readonly { readonly name: string; readonly says: string }[];
}

const MADE = 'Made from the commands by `npm run docs`; do not edit.';

function placesOf(program: Command): readonly Place[] {
  return allCommands(program).map(({ command, words }) => ({
    path: [program.name(), ...words].join(' '),
    words: command.commands.map((child) => ({
      name: child.name(),
      says: firstPart(child.description()),
    })),
    options: visibleOptions(command).flatMap(({ long, description }) =>
      long ? [{ name: long, says: firstPart(description) }] : [],
    ),
  }));
}

function firstPart(text: string): string {
  return (text.split(/(?<=[.;:(])\s?/, 1)[0] ?? text).replace(/[ .;:(]+$/, '');
}

/** The paths of all commands below the program: what the words so far may have led to. */
function pathsOf(program: Command): readonly string[] {
  return placesOf(program)
    .map(({ path }) => path)
    .slice(1);
}

/**
 * For bash: to be sourced, or put into `/usr/share/bash-completion/completions`. Zsh takes it too,
 * after `bashcompinit`.
 */
export function bashCompletion(program: Command): string {
  const name = program.name();
  const func = `_${name.replaceAll('-', '_')}`;
  const names = (items: readonly { readonly name: string }[]) =>
    items.map((item) => item.name).join(' ');
  const cases = placesOf(program).map(
    ({ path, words, options }) =>
      `    '${path}') words='${names(words)}' options='${names(options)}' ;;`,
  );
  return `# Completion of ${name} for bash. ${MADE}
${func}() {
  local place='${name}' word words='' options=''
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$place $word" in
      ${pathsOf(program)
        .map((path) => `'${path}'`)
        .join(' | ')}) place="$place $word" ;;
    esac
  done
  case "$place" in
${cases.join('\n')}
  esac
  case "$2" in
    -*) COMPREPLY=($(compgen -W "$options" -- "$2")) ;;
    *) if [ -n "$words" ]; then COMPREPLY=($(compgen -W "$words" -- "$2")); else COMPREPLY=($(compgen -f -- "$2")); fi ;;
  esac
}
complete -o filenames -F ${func} ${name}
`;
}

/** For fish: to be put into `~/.config/fish/completions`. */
export function fishCompletion(program: Command): string {
  const name = program.name();
  const func = `__${name.replaceAll('-', '_')}_at`;
  const quoted = (text: string) => `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
  const lines = placesOf(program).flatMap(({ path, words, options }) => [
    ...words.map(
      (word) =>
        `complete -c ${name} -n "${func} '${path}'" -f -a ${word.name} -d ${quoted(word.says)}`,
    ),
    ...options.map(
      (option) =>
        `complete -c ${name} -n "${func} '${path}'" -l ${option.name.slice(2)} -d ${quoted(option.says)}`,
    ),
  ]);
  return `# Completion of ${name} for fish. ${MADE}
function ${func}
  set -l place ${name}
  for word in (commandline -opc)[2..]
    switch "$place $word"
      case ${pathsOf(program).map(quoted).join(' ')}
        set place "$place $word"
    end
  end
  test "$place" = "$argv[1]"
end
${lines.join('\n')}
`;
}

/** For PowerShell, on Windows and elsewhere: to be dot-sourced from `$PROFILE`. */
export function powershellCompletion(program: Command): string {
  const name = program.name();
  const quoted = (text: string) => `'${text.replaceAll("'", "''")}'`;
  const list = (items: readonly { readonly name: string }[]) =>
    `@(${items.map((item) => quoted(item.name)).join(', ')})`;
  const rows = placesOf(program).map(
    ({ path, words, options }) => `    ${quoted(path)} = @(${list(words)}, ${list(options)})`,
  );
  return `# Completion of ${name} for PowerShell. ${MADE}
Register-ArgumentCompleter -Native -CommandName ${name} -ScriptBlock {
  param($wordToComplete, $commandAst, $cursorPosition)
  $places = @{
${rows.join('\n')}
  }
  $place = ${quoted(name)}
  foreach ($element in $commandAst.CommandElements | Select-Object -Skip 1) {
    if ($places.ContainsKey("$place $element")) { $place = "$place $element" }
  }
  $offered = if ($wordToComplete.StartsWith('-')) { $places[$place][1] } else { $places[$place][0] }
  $offered | Where-Object { $_ -like "$wordToComplete*" } | ForEach-Object {
    [System.Management.Automation.CompletionResult]::new($_, $_, 'ParameterValue', $_)
  }
}
`;
}
