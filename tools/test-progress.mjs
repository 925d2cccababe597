// How far `npm test` is: reads the lines that Nx and node's test runner print, and says after each
// package what came of it, how many are done, and how long it has taken.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";

/** The names of the packages that have tests. */
export function testedPackages(root) {
  const folders = ["proto", "tools"];
  for (const group of ["libs", "apps"]) {
    for (const name of readdirSync(join(root, group))) folders.push(`${group}/${name}`);
  }
  return folders.flatMap((folder) => {
    const file = join(root, folder, "package.json");
    if (!existsSync(file)) return [];
    const { name, nx } = JSON.parse(readFileSync(file, "utf8"));
    return nx?.targets?.test === undefined ? [] : [name];
  });
}

/** A time in words: "50 s", "8 min 9 s". */
function inWords(seconds) {
  const whole = Math.round(seconds);
  return whole < 60 ? `${whole} s` : `${Math.floor(whole / 60)} min ${whole % 60} s`;
}

export class TestProgress {
  /** What all packages that are done add up to. */
  totals = { pass: 0, fail: 0, skipped: 0 };
  #packages;
  #lastSeconds;
  #now;
  #start;
  #done = 0;
  /** The package whose lines are being read; undefined before the first, and once it is counted. */
  #current;
  #counts = { pass: 0, fail: 0, skipped: 0 };

  /**
   * `packages` are those that are tested; none when some were chosen, and their number is not known.
   * `lastSeconds` is how long the last whole run took; `now` gives seconds.
   */
  constructor(packages, lastSeconds, now = () => performance.now() / 1000) {
    this.#packages = new Set(packages);
    this.#lastSeconds = lastSeconds;
    this.#now = now;
    this.#start = now();
  }

  /** What is said before the first test. */
  announcement() {
    if (this.#packages.size === 0) return "Running the tests of the chosen packages.";
    const usual =
      this.#lastSeconds === undefined
        ? "usually within ten minutes on two cores that have nothing else to do"
        : `the last whole run here took ${inWords(this.#lastSeconds)}`;
    return `Running the tests of ${this.#packages.size} packages; ${usual}, less where results are still known.`;
  }

  /** Takes a line without colours; what is to be said after it, if anything. */
  read(line) {
    const task = /^> nx run (\S+?):(\S+)/.exec(line.trimStart());
    if (task !== null) {
      this.#current = task[2] === "test" ? task[1] : undefined;
      this.#counts = { pass: 0, fail: 0, skipped: 0 };
      return undefined;
    }
    // The summary of node's test runner: "ℹ pass 12".
    const count = /^[^\w]*(pass|fail|skipped) (\d+)\s*$/.exec(line);
    if (count !== null) {
      this.totals[count[1]] += Number(count[2]);
      this.#counts[count[1]] += Number(count[2]);
      return undefined;
    }
    // Its last line.
    if (this.#current === undefined || !/^[^\w]*duration_ms [\d.]+\s*$/.test(line))
      return undefined;
    const { pass, fail } = this.#counts;
    const name = this.#current;
    this.#current = undefined;
    this.#done += 1;
    const of = this.#packages.size === 0 ? "" : ` of ${this.#packages.size}`;
    return `== ${this.#done}${of}: ${name}: ${pass} passed, ${fail} failed (${this.elapsed()} so far)`;
  }

  /** Seconds since the start. */
  seconds() {
    return this.#now() - this.#start;
  }

  /** The same in words. */
  elapsed() {
    return inWords(this.seconds());
  }
}
