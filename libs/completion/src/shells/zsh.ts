/** The script for zsh, as a file of `$fpath` or sourced. */
import { functionName } from "./function-name.ts";

/**
 * A file of `$fpath` is run at the first completion as the body of the function that bears its name,
 * and has to complete at once; a sourced file only registers the function.
 */
export function zshScript(program: string, completeWord: string): string {
  const name = functionName(program);
  return `#compdef ${program}
# Completion of ${program} for zsh: put this into a directory of $fpath as _${program}, or source it
# after compinit.
${name}() {
  local line text typed word
  local -a answer plain described closed
  typed=\${(Q)words[1]}
  case $typed in "~/"*) typed=$HOME/\${typed#"~/"} ;; esac
  answer=("\${(@f)$("$typed" ${completeWord} "\${(@Q)words[2,CURRENT-1]}" "\${(Q)PREFIX}" 2> /dev/null)}")
  if (( \${#answer} == 0 )) || [[ -z $answer[-1] ]]; then return 1; fi
  line=$answer[-1]
  answer[-1]=()
  for text in "\${(@)answer}"; do
    word=\${text%%$'\\t'*}
    plain+=("$word")
    text=\${text#*$'\\t'}
    if [[ -n $text ]]; then described+=("$word  -- $text"); else described+=("$word"); fi
  done
  if [[ $line == *open* ]]; then closed=(-S ''); fi
  if (( \${#plain} > 0 )); then compadd $closed -l -d described -- "\${(@)plain}" && return 0; fi
  case $line in
    *files*) if compset -P '*='; then :; fi; _files ;;
    *directories*) if compset -P '*='; then :; fi; _files -/ ;;
    *) return 1 ;;
  esac
}
if [[ $funcstack[1] == _${program} ]]; then
  ${name} "$@"
else
  compdef ${name} ${program}
fi
`;
}
