/**
 * Completion scripts for shells, generated from the declarations. A script finds out which command
 * the words so far have led to, then offers that command's subcommands and options.
 */
import type { Command } from "./command.ts";
import type { FlagSpec } from "./flags.ts";

export type Shell = "bash" | "zsh" | "fish";

interface Word {
  readonly text: string;
  readonly usage: string;
}

/** A point in the command line: what may follow. */
interface Place {
  /** Commands so far, separated by blanks; "" at the start. */
  readonly path: string;
  readonly words: readonly Word[];
}

const helpFlag: FlagSpec = { kind: "switch", name: "help", alias: "h", usage: "show help" };

function flagWords(flags: readonly FlagSpec[]): Word[] {
  return flags.flatMap(({ name, alias, usage }) =>
    [name, ...(alias === undefined ? [] : [alias])].map((spelling) => ({
      text: spelling.length === 1 ? `-${spelling}` : `--${spelling}`,
      usage,
    })),
  );
}

function places(commands: readonly Command[], globalFlags: readonly FlagSpec[]): Place[] {
  const below = (path: string, list: readonly Command[], flags: readonly FlagSpec[]): Place[] => [
    {
      path,
      words: [...list.map(({ name, usage }) => ({ text: name, usage })), ...flagWords(flags)],
    },
    ...list.flatMap((command) =>
      below(path === "" ? command.name : `${path} ${command.name}`, command.subcommands ?? [], [
        ...(command.flags ?? []),
        helpFlag,
      ]),
    ),
  ];
  return below("", commands, [...globalFlags, helpFlag]);
}

/** Spellings of all options that take the next word as their value. */
function valueOptions(commands: readonly Command[], globalFlags: readonly FlagSpec[]): string[] {
  const flags = (list: readonly Command[]): FlagSpec[] =>
    list.flatMap((command) => [...(command.flags ?? []), ...flags(command.subcommands ?? [])]);
  const withValue = [...globalFlags, ...flags(commands)].filter(({ kind }) => kind !== "switch");
  return [...new Set(flagWords(withValue).map(({ text }) => text))].sort();
}

function singleQuoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** The part bash and zsh share: which path the words before the current one have led to. */
function pathLoop(all: readonly Place[], options: readonly string[], words: string): string {
  const paths = all.map(({ path }) => path).filter((path) => path !== "");
  return `  for word in ${words}; do
    if [ "$skip" = 1 ]; then skip=0; continue; fi
    case "$word" in
      ${options.join("|")}) skip=1; continue ;;
      -*) continue ;;
    esac
    case "\${place:+$place }$word" in
      ${paths.map((path) => path.replaceAll(" ", "\\ ")).join("|")}) place="\${place:+$place }$word" ;;
    esac
  done
`;
}

function bashScript(all: readonly Place[], options: readonly string[]): string {
  const cases = all
    .map(({ path, words }) => {
      const list = words.map(({ text }) => text).join(" ");
      return `    ${singleQuoted(path)}) words=${singleQuoted(list)} ;;\n`;
    })
    .join("");
  return `# Completion of etcdctl for bash: source this, or put it where bash-completion looks.
_etcdctl() {
  local word words='' place='' skip=0
${pathLoop(all, options, '"${COMP_WORDS[@]:1:COMP_CWORD-1}"')}  COMPREPLY=()
  if [ "$skip" = 1 ]; then return; fi
  case "$place" in
${cases}  esac
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}")
}
complete -o default -F _etcdctl etcdctl
`;
}

function zshScript(all: readonly Place[], options: readonly string[]): string {
  const entry = ({ text, usage }: Word): string =>
    singleQuoted(`${text.replaceAll(":", "\\:")}:${usage}`);
  const cases = all
    .map(
      ({ path, words }) =>
        `    ${singleQuoted(path)}) entries=(${words.map(entry).join(" ")}) ;;\n`,
    )
    .join("");
  return `#compdef etcdctl
# Completion of etcdctl for zsh: put this into a directory of $fpath as _etcdctl.
_etcdctl() {
  local word place='' skip=0
  local -a entries
${pathLoop(all, options, '"${(@)words[2,CURRENT-1]}"')}  if [ "$skip" = 1 ]; then _files; return; fi
  case "$place" in
${cases}  esac
  _describe -o 'etcdctl' entries || _files
}
compdef _etcdctl etcdctl
`;
}

function fishScript(all: readonly Place[], options: readonly string[]): string {
  const quoted = (text: string): string =>
    `'${text.replaceAll("\\", "\\\\").replaceAll("'", "\\'")}'`;
  const paths = all.map(({ path }) => path).filter((path) => path !== "");
  const lines = all.flatMap(({ path, words }) =>
    words.map(({ text, usage }) => {
      const when = quoted(`__etcdctl_at ${quoted(path)}`);
      return `complete -c etcdctl -n ${when} -a ${quoted(text)} -d ${quoted(usage)}`;
    }),
  );
  return `# Completion of etcdctl for fish: put this into ~/.config/fish/completions/etcdctl.fish.
function __etcdctl_at
  set -l place ''
  set -l skip 0
  for word in (commandline -opc)[2..-1]
    if test $skip = 1
      set skip 0
      continue
    end
    switch $word
      case ${options.map(quoted).join(" ")}
        set skip 1
        continue
      case '-*'
        continue
    end
    set -l next (string trim -- "$place $word")
    if contains -- "$next" ${paths.map(quoted).join(" ")}
      set place $next
    end
  end
  test $skip = 0 -a "$place" = "$argv[1]"
end
${lines.join("\n")}
`;
}

/** The script for a shell. */
export function completionScript(
  shell: Shell,
  commands: readonly Command[],
  globalFlags: readonly FlagSpec[],
): string {
  const all = places(commands, globalFlags);
  const options = valueOptions(commands, globalFlags);
  switch (shell) {
    case "bash":
      return bashScript(all, options);
    case "zsh":
      return zshScript(all, options);
    case "fish":
      return fishScript(all, options);
  }
}
