/**
 * Owns the rules of a project's folders. Its package.json lists them from the ground up
 * (`etcd2.folders`), and a file imports from its own folder and from those before it only; files in
 * the root of the sources stand above all folders unless they, or ".", are listed too. Files do not import
 * each other in circles, a folder holds a manageable number of them, and a pure folder
 * (`etcd2.pure`) imports from pure folders only, and no package.
 */
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";

/** What package.json says about folders. */
export interface FolderRules {
  /** Folders, and files in the root, from the ground up. */
  readonly folders: readonly string[];
  /** The folders without I/O, clock and randomness. */
  readonly pure: readonly string[];
}

/** Names of imported modules by source file; all paths are relative to the root of the sources. */
export type Imports = ReadonlyMap<string, readonly string[]>;

/** The files of one folder, its index.ts apart. */
export const FILES_MAX = 15;

const IMPORT = /(?:\bfrom|\bimport)\s*\(?\s*"([^"\n]+)"/g;

function sources(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true }).flatMap((entry) => {
    const path = join(directory, entry.name);
    if (entry.isDirectory()) return sources(path);
    return /\.tsx?$/.test(entry.name) ? [path] : [];
  });
}

/** Reads what the sources below a directory import; comments are not taken for imports. */
export function readImports(root: string): Imports {
  return new Map(
    sources(root).map((path) => {
      const text = readFileSync(path, "utf8").replace(/\/\*[\s\S]*?\*\/|^\s*\/\/.*$/gm, "");
      const names = [...text.matchAll(IMPORT)].map(([, name = ""]) =>
        name.startsWith(".") ? relative(root, join(dirname(path), name)) : name,
      );
      return [relative(root, path), names];
    }),
  );
}

/** What is wrong with the folders of a project, a sentence each; nothing when all is well. */
export function folderFaults(rules: FolderRules, imports: Imports): string[] {
  return [
    ...listFaults(rules, imports),
    ...directionFaults(rules, imports),
    ...purityFaults(rules, imports),
    ...circles(imports).map((files) => `files import each other: ${files.join(", ")}`),
  ];
}

function folderOf(path: string): string {
  return dirname(path);
}

/** Every folder is listed, everything listed exists, and no folder is crowded. */
function listFaults({ folders, pure }: FolderRules, imports: Imports): string[] {
  const counts = new Map<string, number>();
  for (const path of imports.keys()) {
    if (path === "index.ts") continue;
    counts.set(folderOf(path), (counts.get(folderOf(path)) ?? 0) + 1);
  }
  const exists = (name: string): boolean => counts.has(name) || imports.has(name);
  return [
    ...[...counts.keys()]
      .filter((name) => name !== "." && !folders.includes(name))
      .map((name) => `the folder ${name} has no place in "folders" of package.json`),
    ...[...folders, ...pure]
      .filter((name) => !exists(name))
      .map((name) => `package.json speaks of ${name}, which does not exist`),
    ...[...counts]
      .filter(([, count]) => count > FILES_MAX)
      .map(([name, count]) => `${name} holds ${count} files, more than ${FILES_MAX}`),
  ];
}

function directionFaults({ folders }: FolderRules, imports: Imports): string[] {
  const height = (path: string): number => {
    const places = [path, folderOf(path)].map((name) => folders.indexOf(name));
    return places.find((place) => place >= 0) ?? folders.length;
  };
  return [...imports].flatMap(([path, names]) =>
    names
      .filter((name) => imports.has(name) && height(name) > height(path))
      .map((name) => `${path} imports ${name} from a folder above its own`),
  );
}

function purityFaults({ pure }: FolderRules, imports: Imports): string[] {
  return [...imports].flatMap(([path, names]) => {
    if (!pure.includes(folderOf(path))) return [];
    return names
      .filter((name) => !imports.has(name) || !pure.includes(folderOf(name)))
      .map((name) => `${path} imports ${name}, and pure code imports pure code only`);
  });
}

/** The groups of files that reach each other: strongly connected components (Tarjan 1972). */
function circles(imports: Imports): string[][] {
  const found: string[][] = [];
  const order = new Map<string, number>();
  const lowest = new Map<string, number>();
  const stack: string[] = [];
  const lower = (path: string, value: number): void => {
    lowest.set(path, Math.min(lowest.get(path) ?? value, value));
  };
  const visit = (path: string): void => {
    order.set(path, order.size);
    lower(path, order.size - 1);
    stack.push(path);
    for (const name of imports.get(path) ?? []) {
      if (!imports.has(name)) continue;
      if (!order.has(name)) {
        visit(name);
        lower(path, lowest.get(name) ?? 0);
      } else if (stack.includes(name)) {
        lower(path, order.get(name) ?? 0);
      }
    }
    if (lowest.get(path) !== order.get(path)) return;
    const group = stack.splice(stack.indexOf(path));
    if (group.length > 1) found.push(group.sort());
  };
  for (const path of imports.keys()) if (!order.has(path)) visit(path);
  return found;
}
