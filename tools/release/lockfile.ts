/**
 * Reads package-lock.json: which packages a set of roots needs at run time, found the way the
 * runtime itself looks them up. Knows nothing of archives or of what the packages contain.
 */
import { readFileSync } from "node:fs";

/** One package as the lock file has it. */
export interface LockedPackage {
  readonly name: string;
  readonly version: string;
  /** Where it is installed, relative to the project: its key in the lock file. */
  readonly path: string;
  readonly integrity: string | undefined;
  readonly license: string | undefined;
  readonly isWorkspace: boolean;
  /** Paths of the packages it depends on. */
  readonly needs: readonly string[];
}

interface LockEntry {
  readonly name?: string;
  readonly version?: string;
  readonly integrity?: string;
  readonly license?: string;
  readonly link?: boolean;
  readonly resolved?: string;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly optionalDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, unknown>>;
}

interface LockJson {
  readonly packages: Readonly<Record<string, LockEntry>>;
}

export class Lockfile {
  readonly #packages: Readonly<Record<string, LockEntry>>;

  constructor(text: string) {
    this.#packages = (JSON.parse(text) as LockJson).packages;
  }

  static read(path: string): Lockfile {
    return new Lockfile(readFileSync(path, "utf8"));
  }

  /**
   * The packages at the given paths and all they need, in the order of their paths.
   * What they only may have counts where it is installed, as programs find it there and use it.
   * Dependencies named in `without` are left out, with what only they need.
   * @throws Error when a dependency is not in the lock file.
   */
  closure(roots: readonly string[], without: ReadonlySet<string> = new Set()): LockedPackage[] {
    const found = new Map<string, LockedPackage>();
    const open = roots.map((root) => this.#followLink(root));
    for (let path = open.pop(); path !== undefined; path = open.pop()) {
      if (found.has(path)) continue;
      const locked = this.#package(path, without);
      found.set(path, locked);
      open.push(...locked.needs);
    }
    return [...found.values()].sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  #package(path: string, without: ReadonlySet<string>): LockedPackage {
    const entry = this.#packages[path];
    if (entry?.version === undefined) throw new Error(`package-lock.json has no ${path}`);
    const { dependencies, optionalDependencies, peerDependencies, peerDependenciesMeta } = entry;
    const namesOf = (...lists: readonly (object | undefined)[]): readonly string[] =>
      lists.flatMap((list) => Object.keys(list ?? {})).filter((name) => !without.has(name));
    const needed = namesOf(dependencies).map((name) => this.#resolve(path, name));
    const used = namesOf(optionalDependencies, peerDependencies, peerDependenciesMeta).map((name) =>
      this.#find(path, name),
    );
    return {
      name: entry.name ?? path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length),
      version: entry.version,
      path,
      integrity: entry.integrity,
      license: entry.license,
      isWorkspace: !path.includes("node_modules/"),
      needs: [...new Set([...needed, ...used])].filter((found) => found !== undefined),
    };
  }

  #resolve(from: string, name: string): string {
    const found = this.#find(from, name);
    if (found === undefined)
      throw new Error(`package-lock.json has no ${name}, which ${from} needs`);
    return found;
  }

  /** The nearest node_modules on the way up that has the package. */
  #find(from: string, name: string): string | undefined {
    let folder = from;
    for (;;) {
      const path = `${folder === "" ? "" : `${folder}/`}node_modules/${name}`;
      if (this.#packages[path] !== undefined) return this.#followLink(path);
      if (folder === "") return undefined;
      folder = folder.includes("/") ? folder.slice(0, folder.lastIndexOf("/")) : "";
    }
  }

  #followLink(path: string): string {
    const entry = this.#packages[path];
    return entry?.link === true ? (entry.resolved ?? path) : path;
  }
}
