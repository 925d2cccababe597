/**
 * A recursive, sorted listing of a v2 server as a sequence of nodes. It may be far larger than
 * memory, so it goes to a temporary file first and is read from there node by node.
 */
import { createWriteStream, readFileSync, rmSync } from "node:fs";
import { pipeline } from "node:stream/promises";
import { MigrateError, messageOf } from "../errors.ts";
import { fileChunks } from "../io/file-chunks.ts";
import { FileCursor } from "../io/file-cursor.ts";
import { FormatError } from "../io/format-error.ts";
import { JsonObject } from "../io/json-object.ts";
import { JsonScanner } from "../io/json-scanner.ts";
import type { V2Client } from "./v2-client.ts";

/** A node as the API shows it. */
export interface ShownNode {
  /** Byte string; "/" for the root. */
  readonly key: string;
  readonly dir: boolean;
  readonly value: string;
  /** Seconds left, undefined for permanent. */
  readonly ttl: number | undefined;
  readonly modifiedIndex: number;
  readonly createdIndex: number;
}

export interface Listing {
  /** Store index the listing stands at. */
  readonly etcdIndex: number;
  readonly clusterId: string;
  /** When it was asked for, on the monotonic clock. */
  readonly askedAtMs: number;
  /** False when the root of the listing does not exist. */
  readonly exists: boolean;
  /** The nodes, a directory before what is in it; the first one is the root. Once only. */
  nodes(): Generator<ShownNode>;
  /** Removes the temporary file. */
  close(): void;
}

/** Asks for everything at and below `root` and stores the answer in `file`. */
export async function fetchListing(
  client: V2Client,
  root: string,
  file: string,
  signal: AbortSignal,
): Promise<Listing> {
  const askedAtMs = performance.now();
  for (;;) {
    // A small request finds an endpoint that answers and waits for one if need be.
    await client.request({ method: "GET", key: probeKey(root), query: {} }, signal);
    const stream = await client
      .stream(
        {
          method: "GET",
          key: root,
          query: { recursive: "true", sorted: "true", quorum: "true" },
        },
        signal,
      )
      .catch((error: unknown) => {
        client.nextEndpoint(messageOf(error));
        return undefined;
      });
    if (stream === undefined) continue;
    try {
      await pipeline(stream.chunks, createWriteStream(file, { mode: 0o600 }), { signal });
    } catch (error) {
      if (signal.aborted) throw new MigrateError("interrupted", "interrupted");
      client.nextEndpoint(messageOf(error));
      continue;
    }
    if (stream.status >= 500) {
      client.nextEndpoint(`answers ${stream.status}`);
      continue;
    }
    const { etcdIndex, clusterId, status } = stream;
    if (status !== 200 && !isAbsent(file)) throw refused(client, status, root);
    return {
      etcdIndex,
      clusterId,
      askedAtMs,
      exists: status === 200,
      *nodes() {
        if (status === 200) yield* readListing(file);
      },
      close: () => {
        rmSync(file, { force: true });
      },
    };
  }
}

/** A key that does not exist: asking for it costs nothing and tells the index. */
export function probeKey(root: string): string {
  return `${root === "/" ? "" : root}/_etcd-migrate-probe`;
}

/** Key not found, and a file where a directory should be on the way there. */
const ABSENT: ReadonlySet<number> = new Set([100, 104]);

/** Whether a stored answer is the v2 API's "there is no such key", not some other server's 404. */
function isAbsent(file: string): boolean {
  const body = readFileSync(file);
  return ABSENT.has(errorOf(body)?.code ?? 0);
}

/** The v2 error in the body of an answer, undefined when there is none. */
export function errorOf(
  body: Buffer,
): { readonly code: number; readonly cause: string } | undefined {
  try {
    const json = JsonObject.parse(body.toString("utf8"));
    return { code: json.number("errorCode"), cause: json.byteString("cause") };
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    return undefined;
  }
}

export function refused(client: V2Client, status: number, key: string): MigrateError {
  return new MigrateError("remote", `${client.name} answers ${status} to a request for ${key}`, {
    ...(status === 401 ? { remedy: "give a user: http://user:password@host:port" } : {}),
    ...(status === 404 ? { remedy: "is this a server with the v2 API (--enable-v2)?" } : {}),
  });
}

/** Reads the answer of a recursive GET, without recursion: the depth of a tree has no bound. */
function* readListing(file: string): Generator<ShownNode> {
  const cursor = new FileCursor(file);
  try {
    const scanner = new JsonScanner(fileChunks(cursor, 0, cursor.size));
    enterNode(scanner);
    yield* readNodes(scanner);
  } finally {
    cursor.close();
  }
}

/** Skips to the first member of the answer's node. */
function enterNode(scanner: JsonScanner): void {
  scanner.expect("{");
  for (;;) {
    const name = scanner.string();
    scanner.expect(":");
    if (name === "node") return;
    scanner.value();
    scanner.expect(",");
  }
}

interface Draft {
  key: string;
  dir: boolean;
  value: string;
  ttl: number | undefined;
  modifiedIndex: number;
  createdIndex: number;
}

/**
 * `nodes` stands before the indexes in the answer, so a directory is handed out before they are
 * known; they are 0 then. Only files need them.
 */
function* readNodes(scanner: JsonScanner): Generator<ShownNode> {
  let depth = 0;
  let draft: Draft | undefined = startNode(scanner);
  for (;;) {
    let isChildNext = false;
    let emitted = draft === undefined;
    while (!scanner.accept("}")) {
      scanner.accept(",");
      const name = scanner.string();
      scanner.expect(":");
      if (name === "nodes" && draft !== undefined) {
        scanner.expect("[");
        if (scanner.accept("]")) continue;
        yield finish(draft);
        emitted = true;
        isChildNext = true;
        break;
      }
      if (draft === undefined) scanner.value();
      else readMember(scanner, name, draft);
    }
    if (isChildNext) {
      depth++;
      draft = startNode(scanner);
      continue;
    }
    if (!emitted && draft !== undefined) yield finish(draft);
    // The node is complete: a sibling follows, or its list ends and the parent goes on.
    if (depth === 0) return;
    if (scanner.accept(",")) draft = startNode(scanner);
    else {
      scanner.expect("]");
      depth--;
      draft = undefined;
    }
  }
}

function startNode(scanner: JsonScanner): Draft {
  scanner.expect("{");
  const nothing = { value: "", ttl: undefined, modifiedIndex: 0, createdIndex: 0 };
  return { key: "/", dir: false, ...nothing };
}

function readMember(scanner: JsonScanner, name: string, draft: Draft): void {
  if (name === "key") draft.key = scanner.string();
  else if (name === "value") draft.value = scanner.string();
  else if (name === "dir") draft.dir = scanner.value() === true;
  else if (name === "ttl") draft.ttl = scanner.number();
  else if (name === "modifiedIndex") draft.modifiedIndex = scanner.index();
  else if (name === "createdIndex") draft.createdIndex = scanner.index();
  else if (name === "expiration") {
    scanner.value();
    draft.ttl ??= 0;
  } else scanner.value();
}

function finish(draft: Draft): ShownNode {
  if (!draft.key.startsWith("/")) throw new FormatError("the answer is no listing of keys");
  return { ...draft };
}
