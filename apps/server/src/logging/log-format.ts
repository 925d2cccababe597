/**
 * Owns what a log line looks like as text: the format of etcd 2.3.8, to the microsecond. It knows
 * no sinks and no levels beyond their letters.
 */
import { levelLetters } from "../base/log-level.ts";

const two = (n: number) => (n < 10 ? `0${n.toFixed(0)}` : n.toFixed(0));

/** Local time as `2015-01-02 15:04:05.000000`. */
function formatLogTime(epochMicros: number): string {
  const date = new Date(Math.floor(epochMicros / 1000));
  const micros = Math.floor(epochMicros % 1_000_000)
    .toFixed(0)
    .padStart(6, "0");
  const day = `${date.getFullYear().toFixed(0)}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
  return `${day} ${two(date.getHours())}:${two(date.getMinutes())}:${two(date.getSeconds())}.${micros}`;
}

const escapes: Readonly<Record<string, string>> = { "\n": "\\n", "\r": "\\r", "\t": "\t" };

/** Control characters made visible: what a client sends must not forge lines or steer terminals. */
function escapeControls(text: string): string {
  return text.replace(/[\u0000-\u001f\u007f-\u009f]/g, (c) => {
    return escapes[c] ?? `\\x${c.charCodeAt(0).toString(16).padStart(2, "0")}`;
  });
}

const colors = [
  "\u001b[1;31m",
  "\u001b[31m",
  "\u001b[33m",
  "\u001b[36m",
  "",
  "\u001b[2m",
  "\u001b[2m",
];

/** One line with its end. `rank` is the level's position in logLevels. */
export function formatLogLine(
  line: {
    readonly micros: number;
    readonly rank: number;
    readonly pkg: string;
    readonly message: string;
  },
  useColor: boolean,
): string {
  const letter = levelLetters[line.rank] ?? "I";
  const color = useColor ? (colors[line.rank] ?? "") : "";
  const shown = color === "" ? letter : `${color}${letter}\u001b[0m`;
  return `${formatLogTime(line.micros)} ${shown} | ${line.pkg}: ${escapeControls(line.message)}\n`;
}
