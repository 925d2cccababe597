/**
 * Users and roles of v2 as those of v3, as far as v3 can say it: permissions on ranges of keys, users who
 * need new passwords. Pure. What has no counterpart is named, so that nobody has to find out.
 */
import { fromByteString } from "@etcd2/store";
import type { KeyKind, KeySpace } from "@etcd2/v3";
import type { PathMap, PathRule } from "./path-map.ts";
import type { DirectoryMode } from "./rows.ts";

export interface V2Role {
  readonly name: string;
  readonly read: readonly string[];
  readonly write: readonly string[];
}

export interface V2User {
  readonly name: string;
  readonly roles: readonly string[];
}

export interface V2Auth {
  readonly enabled: boolean;
  readonly users: readonly V2User[];
  readonly roles: readonly V2Role[];
}

export type Access = "read" | "write" | "readwrite";

export interface V3Permission {
  readonly access: Access;
  /** Byte string. */
  readonly key: string;
  /** Byte string; "" for the one key. */
  readonly rangeEnd: string;
}

export interface V3Role {
  readonly name: string;
  readonly permissions: readonly V3Permission[];
}

export interface V3Auth {
  readonly users: readonly { readonly name: string; readonly roles: readonly string[] }[];
  readonly roles: readonly V3Role[];
  /** Users who need a password. */
  readonly passwordsToSet: readonly string[];
  /** What v3 cannot say, in sentences. */
  readonly losses: readonly string[];
}

const ROOT = "root";
const GUEST = "guest";

/** Records that a client of a v2 gateway writes along with a value. */
const RECORDS: readonly KeyKind[] = ["file", "directory", "lifetime", "sequence"];

export interface AuthMapOptions {
  readonly space: KeySpace;
  readonly paths: PathMap;
  readonly directories: DirectoryMode;
}

/** The v3 users and roles for those of v2. */
export function mapAuth(auth: V2Auth, options: AuthMapOptions): V3Auth {
  const losses: string[] = [];
  const known = new Set(auth.roles.map(({ name }) => name));
  if (known.has(GUEST)) {
    losses.push(
      "guest has no counterpart: once authentication is on in v3, nobody gets anything without a user",
    );
  }
  const roles = auth.roles
    .filter(({ name }) => name !== GUEST && name !== ROOT && name !== "")
    .map((role) => mapRole(role, options, losses));
  const kept = new Set([...roles.map(({ name }) => name), ROOT]);
  const users = auth.users
    .filter(({ name }) => name !== "")
    .map(({ name, roles: held }) => {
      const lost = held.filter((role) => !kept.has(role) && role !== GUEST);
      for (const role of lost) {
        losses.push(
          `user ${fromByteString(name)} has role ${fromByteString(role)}, which does not exist`,
        );
      }
      return { name, roles: held.filter((role) => kept.has(role)) };
    });
  const needsRoot = users.some(({ roles: held }) => held.includes(ROOT));
  if (needsRoot) roles.push({ name: ROOT, permissions: [] });
  return { users, roles, passwordsToSet: users.map(({ name }) => name), losses };
}

function mapRole(role: V2Role, options: AuthMapOptions, losses: string[]): V3Role {
  const found = new Map<string, V3Permission>();
  const grant = (access: Access, key: string, rangeEnd: string): void => {
    const id = JSON.stringify([key, rangeEnd]);
    const held = found.get(id);
    const both = held === undefined || held.access === access ? access : "readwrite";
    found.set(id, { access: both, key, rangeEnd });
  };
  const each = (patterns: readonly string[], access: Access): void => {
    for (const pattern of patterns) {
      const ranges = rangesOf(pattern, options);
      if (ranges === undefined) {
        losses.push(
          `role ${fromByteString(role.name)}: ${access} of "${fromByteString(pattern)}" names nothing that is carried over`,
        );
        continue;
      }
      for (const { key, rangeEnd } of ranges) grant(access, key, rangeEnd);
      for (const { from, to } of reachedBeside(pattern, options.paths)) {
        losses.push(
          `role ${fromByteString(role.name)}: ${access} of "${fromByteString(pattern)}" also reaches what was below ` +
            `${fromByteString(from)} and is now below ${fromByteString(to)}`,
        );
      }
    }
  };
  each(role.read, "read");
  each(role.write, "write");
  if (options.directories === "marker" && found.size > 0) {
    // A gateway reads records around a key and announces deletions with its caller's rights.
    const { key, rangeEnd } = options.space.records;
    grant("read", key.toString("latin1"), rangeEnd.toString("latin1"));
    const announcements = options.space.below("announcement", "");
    if (role.write.length > 0) {
      grant(
        "readwrite",
        announcements.key.toString("latin1"),
        announcements.rangeEnd.toString("latin1"),
      );
    }
  }
  return { name: role.name, permissions: [...found.values()] };
}

interface Range {
  readonly key: string;
  readonly rangeEnd: string;
}

/** The keys that a pattern of v2 covers: one, or with a final "*" all that begin with the rest. */
function rangesOf(pattern: string, options: AuthMapOptions): readonly Range[] | undefined {
  const { space, paths, directories } = options;
  const kinds: readonly KeyKind[] = directories === "marker" ? ["data", ...RECORDS] : ["data"];
  const isPrefix = pattern.endsWith("*");
  const start = isPrefix ? pattern.slice(0, -1) : pattern;
  if (!isPrefix) {
    if (!start.startsWith("/") || !paths.takes(start)) return undefined;
    const target = paths.target(start);
    if (target === "") return undefined;
    return kinds.map((kind) => ({ key: text(space.key(kind, target)), rangeEnd: "" }));
  }
  if (start !== "" && !start.startsWith("/")) return undefined;
  const images = imagesOfPrefix(start === "" ? "/" : start, paths);
  const ranges = [...images].flatMap(([beginning, isExact]) =>
    kinds.map((kind) => {
      const key = text(space.key(kind, beginning));
      return { key, rangeEnd: isExact ? "" : after(key) };
    }),
  );
  return ranges.length === 0 ? undefined : ranges;
}

/** Where paths that begin with `start` end up: beginnings of target paths, or (true) whole ones. */
function imagesOfPrefix(start: string, paths: PathMap): ReadonlyMap<string, boolean> {
  const images = new Map<string, boolean>();
  const addTree = (from: string, to: string): void => {
    if (to !== "" && from.startsWith(start) && !images.has(to)) images.set(to, true);
    images.set(`${to}/`, false);
  };
  for (const root of paths.roots) {
    // What is chosen of the pattern: all of it, or a chosen subtree that lies in it.
    const isInside = start.startsWith(`${root}/`);
    if (isInside) images.set(imageOfBeginning(start, paths), false);
    else if (`${root}/`.startsWith(start)) addTree(root, paths.target(root));
    else continue;
    for (const { from, to } of paths.rules) {
      const isCovered = from.startsWith(start) && from !== root && from.startsWith(`${root}/`);
      if (isCovered) addTree(from, to);
    }
  }
  return images;
}

/** Rules that put into the range of a pattern what the pattern does not name. */
function reachedBeside(pattern: string, paths: PathMap): readonly PathRule[] {
  if (!pattern.endsWith("*")) return [];
  const start = pattern === "*" ? "/" : pattern.slice(0, -1);
  const beginnings = [...imagesOfPrefix(start, paths)].filter(([, isExact]) => !isExact);
  return paths.rules.filter(
    ({ from, to }) =>
      !`${from}/`.startsWith(start) &&
      !start.startsWith(`${from}/`) &&
      beginnings.some(([beginning]) => `${to}/`.startsWith(beginning)),
  );
}

/** The image of a beginning such as "/a/b": that of the directory, and the begun name. */
function imageOfBeginning(beginning: string, paths: PathMap): string {
  const cut = beginning.lastIndexOf("/");
  return `${paths.target(beginning.slice(0, cut))}/${beginning.slice(cut + 1)}`;
}

/** The end of the range of all keys that begin with `start`. */
function after(start: string): string {
  for (let i = start.length - 1; i >= 0; i--) {
    const code = start.charCodeAt(i);
    if (code < 0xff) return start.slice(0, i) + String.fromCharCode(code + 1);
  }
  return "\0";
}

function text(key: Buffer): string {
  return key.toString("latin1");
}
