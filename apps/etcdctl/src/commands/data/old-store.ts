/** The JSON in which a 0.4 server keeps its store: which keys it holds. It sends nothing. */
import { ClientError, messageOf } from "../../errors/errors.ts";

export interface OldKey {
  readonly kind: "key";
  readonly key: string;
  readonly value: string;
  /** Seconds left, negative when expired; 0 for none. */
  readonly ttl: number;
}

/** A directory on the way, which is worth a log line. */
export interface OldDirectory {
  readonly kind: "directory";
  readonly key: string;
}

interface OldNode {
  readonly Value?: string;
  readonly ExpireTime?: string;
  readonly Children?: Readonly<Record<string, OldNode>> | null;
}

export class OldStore {
  readonly #root: OldNode;

  private constructor(root: OldNode) {
    this.#root = root;
  }

  /** Reads the text of a store. A text without one is an empty store. @throws ClientError for junk. */
  static parse(text: string): OldStore {
    let parsed: unknown;
    try {
      parsed = JSON.parse(text);
    } catch (error) {
      throw new ClientError(`not the JSON of a store: ${messageOf(error)}`, { cause: error });
    }
    const root = (parsed as { readonly Root?: OldNode } | null)?.Root;
    return new OldStore(root ?? { Children: {} });
  }

  /**
   * Everything at and below a path, sorted, hidden names left out unless the path names them.
   * @throws ClientError when the path does not exist.
   */
  *walk(path: string, nowMs: number): Generator<OldKey | OldDirectory, void> {
    const parts = path.split("/").filter((part) => part !== "");
    let node = this.#root;
    for (const part of parts) {
      const child = node.Children?.[part];
      if (child === undefined)
        throw new ClientError(`100: Key not found (/${parts.join("/")}) [0]`);
      node = child;
    }
    yield* walkNode(node, parts.length === 0 ? "" : `/${parts.join("/")}`, nowMs);
  }
}

function* walkNode(
  node: OldNode,
  path: string,
  nowMs: number,
): Generator<OldKey | OldDirectory, void> {
  const { Children: children } = node;
  if (children === undefined || children === null) {
    const { Value: value = "", ExpireTime: expiry = "" } = node;
    yield { kind: "key", key: path, value, ttl: secondsLeft(expiry, nowMs) };
    return;
  }
  yield { kind: "directory", key: path === "" ? "/" : path };
  for (const name of Object.keys(children).sort()) {
    const child = children[name];
    if (name.startsWith("_") || child === undefined) continue;
    yield* walkNode(child, `${path}/${name}`, nowMs);
  }
}

/** The year 1 is how the old store writes "never". */
function secondsLeft(expiry: string, nowMs: number): number {
  if (expiry === "" || expiry.startsWith("0001-")) return 0;
  const left = Math.ceil((Date.parse(expiry) - nowMs) / 1000);
  return Number.isNaN(left) ? 0 : left === 0 ? -1 : left;
}
