/** Colours for what etcdctl 2.3.8 does not print: only on a terminal, and never with NO_COLOR. */

export type Colour = "red" | "green" | "yellow" | "bold";

const codes: Readonly<Record<Colour, readonly [on: number, off: number]>> = {
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  bold: [1, 22],
};

/** Paints text, or leaves it as it is. */
export type Painter = (colour: Colour, text: string) => string;

/** The painter for a stream. */
export function painterFor(
  isTerminal: boolean,
  env: Readonly<Record<string, string | undefined>>,
): Painter {
  const isPlain = !isTerminal || (env["NO_COLOR"] ?? "") !== "" || env["TERM"] === "dumb";
  if (isPlain) return (_colour, text) => text;
  return (colour, text) => `\x1b[${codes[colour][0]}m${text}\x1b[${codes[colour][1]}m`;
}
