/**
 * How deep keys may be. Every directory is a row of its own whose key holds its whole path, so that
 * what a write has to make grows with the square of the depth. New keys meet a narrow bound at the
 * gateway; applied entries meet a wide one, the same on every member, which only entries can reach
 * that earlier versions let in and could not be sure to survive. Pure.
 */
import type { ByteString } from "../model/byte-string.ts";

/** Levels that a new key may have below the root of the clients. */
export const KEY_LEVELS_MAX = 1000;

/** Bytes that the paths of all directories above a new key may have together. */
export const DIRECTORY_PATH_BYTES_MAX = 2 << 20;

/**
 * Bytes that the paths of the directories made by one applied entry may have together. Part of what
 * entries mean: it must be the same on all members.
 */
export const APPLIED_DIRECTORY_PATH_BYTES_MAX = 64 << 20;

/** Shorter paths are within all limits. */
const CHECKED_LENGTH_MIN = 2 * KEY_LEVELS_MAX;

/** Bytes of the name that is added to the path of a write in order, and its slash. */
const IN_ORDER_NAME_BYTES = 21;

/**
 * Why no key may be made at a store path, undefined when it may. `inOrder` says that the path is
 * that of a directory which gets a name added.
 */
export function newKeyProblem(path: ByteString, inOrder: boolean): string | undefined {
  if (path.length + IN_ORDER_NAME_BYTES < CHECKED_LENGTH_MIN) return undefined;
  let levels = inOrder ? 1 : 0;
  let bytes = inOrder ? path.length : 0;
  for (let at = path.indexOf("/", 1); at !== -1; at = path.indexOf("/", at + 1)) {
    levels += 1;
    bytes += at;
  }
  if (levels > KEY_LEVELS_MAX) {
    return `key has ${levels} levels, of which ${KEY_LEVELS_MAX} are allowed`;
  }
  if (bytes <= DIRECTORY_PATH_BYTES_MAX) return undefined;
  return `directories above the key have ${bytes} bytes of paths, of which ${DIRECTORY_PATH_BYTES_MAX} are allowed`;
}

/** Why an applied entry may not make the directories between an existing one and `path`. */
export function appliedPathProblem(existing: ByteString, path: ByteString): string | undefined {
  // The sum is at most the square of the length.
  if (path.length ** 2 <= APPLIED_DIRECTORY_PATH_BYTES_MAX) return undefined;
  let bytes = 0;
  for (let at = path.indexOf("/", existing.length + 1); at !== -1; at = path.indexOf("/", at + 1)) {
    bytes += at;
  }
  if (bytes <= APPLIED_DIRECTORY_PATH_BYTES_MAX) return undefined;
  return `directories to be made have ${bytes} bytes of paths, of which ${APPLIED_DIRECTORY_PATH_BYTES_MAX} are allowed`;
}
