/**
 * The users' keys as the JSON of a 0.4 store, which `etcdctl import --snap FILE` of any 2.x release
 * reads. Streamed: the tree is written while it is walked.
 */
import type { NodeExtern } from "@etcd2/store";
import { walkTree } from "@etcd2/store";
import type { LoadedStore } from "../import/load-store.ts";
import { goTime, jsonText } from "./json-text.ts";

const ROWS = 256;
const NEVER = "0001-01-01T00:00:00Z";

/** Yields the document in pieces. */
export function* exportImportFile({ machine }: LoadedStore): Generator<string> {
  yield `{"Root":${open("/", undefined)}`;
  /** Paths of the directories that are open, the root left out. */
  const path: string[] = [];
  let isFirst = true;
  const listing = walkTree(machine.kv);
  try {
    for (let rows = listing.next(ROWS); rows.length > 0; rows = listing.next(ROWS)) {
      let piece = "";
      for (const { node } of rows) {
        if (!node.key.startsWith("/1/")) continue;
        const key = node.key.slice(2);
        for (let top = path.at(-1); top !== undefined; top = path.at(-1)) {
          if (key.startsWith(`${top}/`)) break;
          path.pop();
          piece += "}}";
          isFirst = false;
        }
        piece += `${isFirst ? "" : ","}${jsonText(key.slice(key.lastIndexOf("/") + 1))}:`;
        if (node.dir) {
          piece += open(key, node);
          path.push(key);
          isFirst = true;
        } else {
          piece += `${fields(key, node)},"Children":null}`;
          isFirst = false;
        }
      }
      yield piece;
    }
  } finally {
    listing.close();
  }
  yield `${"}}".repeat(path.length)}}},"CurrentIndex":${machine.reader.etcdIndex},"CurrentVersion":2}\n`;
}

/** The start of a directory, up to its first child. */
function open(key: string, node: NodeExtern | undefined): string {
  return `${fields(key, node)},"Children":{`;
}

function fields(key: string, node: NodeExtern | undefined): string {
  const expiration = node?.expirationMs === undefined ? NEVER : goTime(node.expirationMs);
  return (
    `{"Path":${jsonText(key)},"CreatedIndex":${node?.createdIndex ?? 0},` +
    `"ModifiedIndex":${node?.modifiedIndex ?? 0},"ExpireTime":"${expiration}","ACL":"",` +
    `"Value":${jsonText(node?.value ?? "")}`
  );
}
