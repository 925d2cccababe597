/**
 * Which paths of a v2 source go to v3, and under which names: the subtrees chosen, a path taken off, others
 * replaced. Pure; paths are byte strings, "" stands for the root. What a v3 prefix adds comes later.
 */
import { cleanKey, fromByteString, toByteString } from "@etcd2/store";
import { MigrateError } from "../../errors.ts";

export interface PathRule {
  readonly from: string;
  readonly to: string;
}

export interface PathMapOptions {
  /** Subtrees to take; none is everything. */
  readonly only?: readonly string[];
  /** Taken off the paths that begin with it. */
  readonly strip?: string | undefined;
  /** Texts of the form "from=to". */
  readonly map?: readonly string[];
}

const IDENTITY: PathRule = { from: "", to: "" };

export class PathMap {
  /** Subtrees to take, none inside another; "" is everything. */
  readonly roots: readonly string[];
  /** The longest `from` first; the last one leaves paths as they are. */
  readonly rules: readonly PathRule[];

  /** @throws MigrateError "usage" */
  constructor(options: PathMapOptions = {}) {
    const roots = [...new Set((options.only ?? []).map(parsePath))];
    const outer = roots.filter((root) => !roots.some((o) => o !== root && isAtOrBelow(root, o)));
    this.roots = outer.length === 0 ? [""] : outer.sort();
    const rules = (options.map ?? []).map(parseRule);
    if (options.strip !== undefined) rules.push({ from: parsePath(options.strip), to: "" });
    for (const { from } of rules) {
      if (rules.filter((rule) => rule.from === from).length > 1) {
        throw new MigrateError(
          "usage",
          `two rules say what becomes of ${fromByteString(from) || "/"}`,
        );
      }
    }
    rules.sort((a, b) => b.from.length - a.from.length);
    this.rules = rules.some(({ from }) => from === "") ? rules : [...rules, IDENTITY];
  }

  /** Whether a path lies in a chosen subtree. */
  takes(path: string): boolean {
    return this.roots.some((root) => isAtOrBelow(path, root));
  }

  /** The path in v3. */
  target(path: string): string {
    return apply(this.#ruleOf(path), path);
  }

  /** The chosen paths that get a name, whether or not there are such nodes. */
  sources(target: string): readonly string[] {
    const sources: string[] = [];
    for (const rule of this.rules) {
      if (!isAtOrBelow(target, rule.to)) continue;
      const path = rule.from + target.slice(rule.to.length);
      if (this.#ruleOf(path) === rule && this.takes(path)) sources.push(path);
    }
    return sources;
  }

  /** Other paths that would get the same name, whether or not there are such nodes. */
  rivals(path: string): readonly string[] {
    return this.sources(this.target(path)).filter((other) => other !== path);
  }

  /** Where everything at and below a path may end up: the paths of subtrees, none inside another. */
  images(path: string): readonly string[] {
    const found = [this.target(path)];
    for (const rule of this.rules) {
      if (rule.from !== path && isAtOrBelow(rule.from, path)) found.push(rule.to);
    }
    const all = [...new Set(found)];
    return all.filter((image) => !all.some((o) => o !== image && isAtOrBelow(image, o))).sort();
  }

  /** Where all of the chosen subtrees may end up. */
  get targets(): readonly string[] {
    const all = [...new Set(this.roots.flatMap((root) => this.images(root)))];
    return all.filter((image) => !all.some((o) => o !== image && isAtOrBelow(image, o))).sort();
  }

  #ruleOf(path: string): PathRule {
    return this.rules.find(({ from }) => isAtOrBelow(path, from)) ?? IDENTITY;
  }
}

function apply(rule: PathRule, path: string): string {
  return rule.to + path.slice(rule.from.length);
}

/** Whether a path is `above` or lies below it; everything lies below "". */
export function isAtOrBelow(path: string, above: string): boolean {
  return path === above || path.startsWith(`${above}/`) || above === "";
}

/** A path of the command line: "" for the root, else with a slash in front and none at the end. */
export function parsePath(text: string): string {
  const clean = cleanKey(toByteString(text.startsWith("/") ? text : `/${text}`));
  return clean === "/" ? "" : clean;
}

function parseRule(text: string): PathRule {
  const at = text.indexOf("=");
  if (at <= 0 || !text.startsWith("/")) {
    throw new MigrateError("usage", `--map must be /from=/to, not "${text}"`);
  }
  return { from: parsePath(text.slice(0, at)), to: parsePath(text.slice(at + 1)) };
}
