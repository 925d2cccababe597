/** The script for fish 3 and later. */
import { functionName } from "./function-name.ts";

/** File names are offered only where the program asks for them. */
export function fishScript(program: string, completeWord: string): string {
  const name = functionName(program);
  return `# Completion of ${program} for fish: put this into ~/.config/fish/completions/${program}.fish.
function ${name}
  set -l typed (commandline -opc)
  set -l word (commandline -ct | string unescape)
  set -l answer ($typed[1] ${completeWord} $typed[2..-1] "$word" 2> /dev/null)
  if test (count $answer) -eq 0
    return
  end
  set -l line $answer[-1]
  set -e answer[-1]
  if test (count $answer) -gt 0
    printf '%s\\n' $answer
  end
  set -l head ''
  if string match -q -- '-*=*' "$word"
    set head (string split -m 1 = -- "$word")[1]=
  end
  set -l path (string replace -- "$head" '' "$word")
  if string match -q '*files*' -- $line
    printf "$head%s\\n" (__fish_complete_path "$path")
  else if string match -q '*directories*' -- $line
    printf "$head%s\\n" (__fish_complete_directories "$path" '')
  end
end
complete -c ${program} -f -a '(${name})'
`;
}
