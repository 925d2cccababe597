/**
 * Completion in shells: the scripts, and the lines by which a program answers them; and how near a
 * mistyped word is to one that was meant.
 */
export { type Candidate, type Completion, completionText, startingWith } from "./completion.ts";
export { editDistance } from "./edit-distance.ts";
export {
  behindEquals,
  type CompletedOption,
  optionCandidates,
  type OptionValue,
  spelled,
  splitOption,
  valueCompletion,
} from "./options.ts";
export { COMPLETE_WORD, completionScript, type Shell, shellNamed, shells } from "./script.ts";
