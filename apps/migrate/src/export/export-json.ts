/**
 * A store as one JSON document, streamed: every key with its indexes and absolute expiration, the
 * members, and the auth records as they are stored. Made so that nobody is locked in.
 */
import type { ListingRow } from "@etcd2/store";
import { walkTree } from "@etcd2/store";
import type { LoadedStore } from "../import/load-store.ts";
import { goTime, isUtf8, jsonText } from "./json-text.ts";

const JSON_FORMAT = "etcd-migrate-export/1";

const ROWS = 256;

/** Yields the document in pieces. */
export function* exportJson({ machine }: LoadedStore): Generator<string> {
  const { etcdIndex, raftIndex, raftTerm } = machine.reader;
  yield (
    `{"format":"${JSON_FORMAT}","etcdIndex":${etcdIndex},"raftIndex":${raftIndex},` +
    `"raftTerm":${raftTerm},\n"nodes":[`
  );
  let separator = "\n";
  const listing = walkTree(machine.kv);
  try {
    for (let rows = listing.next(ROWS); rows.length > 0; rows = listing.next(ROWS)) {
      let piece = "";
      for (const row of rows) {
        piece += separator + node(row);
        separator = ",\n";
      }
      yield piece;
    }
  } finally {
    listing.close();
  }
  yield "\n]}\n";
}

/** Namespace and path apart: "cluster" is /0, "keys" what users see, "auth" /2. */
function node({ node: shown }: ListingRow): string {
  const space = SPACES[shown.key.slice(0, 2)] ?? "keys";
  const key = shown.key.slice(2);
  const fields = [`"space":"${space}"`, `"key":${jsonText(key === "" ? "/" : key)}`];
  if (!isUtf8(key)) fields.push(`"keyBase64":${base64(key)}`);
  if (shown.dir) fields.push(`"dir":true`);
  else {
    const value = shown.value ?? "";
    fields.push(isUtf8(value) ? `"value":${jsonText(value)}` : `"valueBase64":${base64(value)}`);
  }
  if (shown.expirationMs !== undefined) {
    fields.push(`"expiration":"${goTime(shown.expirationMs)}"`);
  }
  fields.push(`"createdIndex":${shown.createdIndex}`, `"modifiedIndex":${shown.modifiedIndex}`);
  return `{${fields.join(",")}}`;
}

const SPACES: Readonly<Record<string, string>> = { "/0": "cluster", "/1": "keys", "/2": "auth" };

function base64(bytes: string): string {
  return `"${Buffer.from(bytes, "latin1").toString("base64")}"`;
}
