/** The script for bash 4 and later. It needs nothing of the bash-completion package. */
import { functionName } from "./function-name.ts";

/**
 * bash cuts the line into words at `:` and `=` too; the loop puts these back together, and what
 * precedes the last cut is taken off the candidates, because bash replaces only the piece behind it.
 */
export function bashScript(program: string, completeWord: string): string {
  const name = functionName(program);
  return `# Completion of ${program} for bash: source this, or put it where bash-completion looks, which is
# /usr/share/bash-completion/completions/${program}.
${name}() {
  local IFS=$' \\t\\n' i word rest=\${COMP_LINE:0:COMP_POINT} head='' line text quote=''
  local -a typed=() answer=()
  for ((i = 0; i <= COMP_CWORD; i++)); do
    word=\${COMP_WORDS[i]}
    if ((i == COMP_CWORD)); then word=\${rest#"\${rest%%[![:space:]]*}"}; fi
    if ((\${#typed[@]} > 0)) && [[ -n $rest && $rest != [[:space:]]* ]]; then
      head=\${typed[-1]}
      typed[-1]+=$word
    else
      head=''
      typed+=("$word")
    fi
    rest=\${rest#"\${rest%%[![:space:]]*}"}
    rest=\${rest#"$word"}
  done
  for ((i = 0; i < \${#typed[@]}; i++)); do
    word=\${typed[i]}
    if ((i == \${#typed[@]} - 1)); then
      case $word in \\'* | \\"*) quote=\${word:0:1} ;; esac
    fi
    case $word in
      \\'*) word=\${word#\\'} word=\${word%\\'} ;;
      \\"*) word=\${word#\\"} word=\${word%\\"} ;;
      *) word=\${word//\\\\/} ;;
    esac
    typed[i]=$word
  done
  word=\${typed[0]}
  case $word in "~/"*) word=$HOME/\${word#"~/"} ;; esac
  mapfile -t answer < <("$word" ${completeWord} "\${typed[@]:1}" 2> /dev/null)
  COMPREPLY=()
  if ((\${#answer[@]} == 0)); then return; fi
  line=\${answer[-1]}
  unset 'answer[-1]'
  head=\${head//\\\\/}
  for text in "\${answer[@]}"; do
    text=\${text%%$'\\t'*}
    text=\${text#"$head"}
    if [[ -z $quote ]]; then printf -v text %q "$text"; fi
    COMPREPLY+=("$text")
  done
  word=\${typed[-1]#"$head"}
  case $line in
    *files*)
      compopt -o filenames
      while IFS= read -r text; do COMPREPLY+=("$text"); done < <(compgen -f -- "$word")
      ;;
    *directories*)
      compopt -o filenames
      while IFS= read -r text; do COMPREPLY+=("$text"); done < <(compgen -d -- "$word")
      ;;
  esac
  case $line in *open*) compopt -o nospace ;; esac
}
complete -F ${name} ${program}
`;
}
