/** The scripts for the shells: each asks the program itself, so none of them knows its words. */
import { bashScript } from "./shells/bash.ts";
import { fishScript } from "./shells/fish.ts";
import { zshScript } from "./shells/zsh.ts";

/** The first word by which the scripts ask a program; the words typed so far follow it. */
export const COMPLETE_WORD = "__complete";

/** Shells that there is a script for. */
export const shells = ["bash", "zsh", "fish"] as const;
export type Shell = (typeof shells)[number];

/** The shell of that name; undefined when there is no script for it. */
export function shellNamed(name: string | undefined): Shell | undefined {
  return shells.find((shell) => shell === name);
}

/** The script that completes `program`, the name under which it is installed. */
export function completionScript(shell: Shell, program: string): string {
  switch (shell) {
    case "bash":
      return bashScript(program, COMPLETE_WORD);
    case "zsh":
      return zshScript(program, COMPLETE_WORD);
    case "fish":
      return fishScript(program, COMPLETE_WORD);
  }
}
