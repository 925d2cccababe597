/**
 * What a program proposes for the word under the cursor, and the lines in which it says so to the
 * script of a shell: one `text<TAB>description` for each proposal, then one line that begins with a
 * colon and says how the shell goes on.
 */

/** One word that may stand where the cursor is. */
export interface Candidate {
  readonly text: string;
  /** A few words that shells with descriptions show beside it. */
  readonly usage?: string;
}

/** Everything that may stand where the cursor is. */
export interface Completion {
  readonly candidates: readonly Candidate[];
  /** What the shell offers from the file system as well; nothing when absent. */
  readonly paths?: "files" | "directories";
  /** The word may go on after a candidate, so that no blank is set behind it; false by default. */
  readonly isOpen?: boolean;
}

// A line feed or a tab in a key would be read as the end of the proposal.

const control = /[\u0000-\u001f\u007f]/;

const controls = /[\u0000-\u001f\u007f]+/g;

/** The lines for the script; candidates that cannot be written in one line are left out. */
export function completionText({ candidates, paths, isOpen = false }: Completion): string {
  const lines = candidates
    .filter(({ text }) => text !== "" && !control.test(text))
    .map(({ text, usage = "" }) => `${text}\t${usage.replace(controls, " ")}`);
  const last = [":", ...(paths === undefined ? [] : [paths]), ...(isOpen ? ["open"] : [])];
  return `${[...lines, last.join(" ")].join("\n")}\n`;
}

/** Those candidates that begin with the word typed so far, in their order. */
export function startingWith(word: string, candidates: readonly Candidate[]): Candidate[] {
  return candidates.filter(({ text }) => text.startsWith(word));
}
