import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import {
  EtcdError,
  type Listing,
  type ListingRow,
  type NodeExtern,
  type StoreEvent,
} from "@etcd2/store";
import { errorStatus } from "../../src/http/error-status.ts";
import {
  LISTING_BYTES_PER_TURN,
  LISTING_ROWS_PER_STEP,
  LISTING_STEPS_PER_TURN,
} from "../../src/ports/limits.ts";
import { ListingFormatter } from "../../src/keys/read-response.ts";
import { errorText, eventText, rfc3339, sharedEventText } from "../../src/json/event-json.ts";
import { seed } from "../seed.ts";

function node(key: string, value: string | undefined, more: Partial<NodeExtern> = {}): NodeExtern {
  return {
    key,
    value,
    dir: value === undefined,
    createdIndex: 3,
    modifiedIndex: 4,
    expirationMs: undefined,
    ttl: 0,
    ...more,
  };
}

test("fields come in etcd 2.3.8's order and are absent when empty", () => {
  const expirationMs = Date.UTC(2016, 0, 2, 3, 4, 5, 120);
  const event: StoreEvent = {
    action: "set",
    node: node("/1/a", "<1>", { expirationMs, ttl: 5 }),
    prevNode: node("/1/a", "", { createdIndex: 2 }),
    etcdIndex: 4,
    refresh: false,
  };
  assert.equal(
    eventText(event),
    '{"action":"set","node":{"key":"/a","value":"\\u003c1\\u003e",' +
      '"expiration":"2016-01-02T03:04:05.12Z","ttl":5,"modifiedIndex":4,"createdIndex":3},' +
      '"prevNode":{"key":"/a","value":"","modifiedIndex":4,"createdIndex":2}}\n',
  );
  assert.equal(sharedEventText(event), sharedEventText(event));
  const removed = node("/1/d", undefined, { dir: true });
  assert.equal(
    eventText({ ...event, action: "delete", node: removed, prevNode: removed }),
    '{"action":"delete","node":{"key":"/d","dir":true,"modifiedIndex":4,"createdIndex":3},' +
      '"prevNode":{"key":"/d","dir":true,"modifiedIndex":4,"createdIndex":3}}\n',
  );
});

test("times are UTC without trailing zeros", () => {
  const cases: [number, string][] = [
    [0, "1970-01-01T00:00:00Z"],
    [1, "1970-01-01T00:00:00.001Z"],
    [10, "1970-01-01T00:00:00.01Z"],
    [100, "1970-01-01T00:00:00.1Z"],
    [110_110, "1970-01-01T00:01:50.11Z"],
    [-1, "1969-12-31T23:59:59.999Z"],
    [-9_223_372_036_854, "1677-09-21T00:12:43.146Z"],
  ];
  for (const [unixMs, text] of cases) assert.equal(rfc3339(unixMs), text);
});

test("errors show their cause without the namespace", () => {
  const text = (cause: string): string => errorText(new EtcdError(100, cause, 7));
  const head = '{"errorCode":100,"message":"Key not found"';
  assert.equal(text("/1/a<"), `${head},"cause":"/a\\u003c","index":7}\n`);
  assert.equal(text("/1"), `${head},"cause":"/","index":7}\n`);
  assert.equal(text("/10"), `${head},"cause":"/10","index":7}\n`);
  assert.equal(text(""), `${head},"index":7}\n`);
});

test("each error has its status", () => {
  const statuses = {
    100: 404,
    101: 412,
    102: 403,
    104: 400,
    105: 412,
    107: 400,
    108: 403,
    110: 401,
  };
  for (const [code, status] of Object.entries({ ...statuses, 203: 400, 300: 500, 401: 400 })) {
    assert.equal(errorStatus(Number(code) as 100), status, code);
  }
});

interface Tree {
  readonly [name: string]: Tree | string;
}

/** All rows of a tree in depth-first order, handed out in slices. */
function listingOf(tree: Tree, directory: string): Listing & { isClosed: boolean } {
  const rows: ListingRow[] = [];
  const visit = (below: Tree, path: string, depth: number): void => {
    for (const name of Object.keys(below).sort()) {
      const child = below[name] ?? "";
      const isFile = typeof child === "string";
      rows.push({ node: node(`${path}/${name}`, isFile ? child : undefined), depth });
      if (!isFile) visit(child, `${path}/${name}`, depth + 1);
    }
  };
  visit(tree, directory, 1);
  return {
    isClosed: false,
    take: (rowsMax) => (rows.length === 0 ? undefined : rows.splice(0, Math.min(rowsMax, 3))),
    next: (rowsMax) => rows.splice(0, Math.min(rowsMax, 3)),
    close(): void {
      this.isClosed = true;
    },
  };
}

interface Shown {
  key?: string;
  value?: string;
  dir?: true;
  nodes?: Shown[];
  modifiedIndex?: number;
  createdIndex?: number;
}

function shown(tree: Tree, path: string, isRoot: boolean): Shown {
  const nodes = Object.keys(tree)
    .sort()
    .map((name): Shown => {
      const child = tree[name] ?? "";
      const key = `${path}/${name}`;
      if (typeof child !== "string") return shown(child, key, false);
      return { key, value: child, modifiedIndex: 4, createdIndex: 3 };
    });
  return {
    ...(isRoot ? {} : { key: path }),
    dir: true,
    ...(nodes.length === 0 ? {} : { nodes }),
    ...(isRoot ? {} : { modifiedIndex: 4, createdIndex: 3 }),
  };
}

function format(tree: Tree, root: NodeExtern): string {
  const formatter = new ListingFormatter(root);
  const listing = listingOf(tree, root.key);
  let text = "";
  while (!formatter.ended) text += formatter.take(listing);
  return text;
}

test("rows in slices become nested nodes, closed at the right places", () => {
  const { tree } = fc.letrec<{ tree: Tree; child: Tree | string }>((tie) => ({
    tree: fc.dictionary(fc.stringMatching(/^[a-c]{1,2}$/), tie("child"), { maxKeys: 5 }),
    child: fc.oneof({ maxDepth: 4 }, fc.constantFrom("", "x"), tie("tree")),
  }));
  fc.assert(
    fc.property(tree, fc.boolean(), (below, isRoot) => {
      const root = isRoot
        ? node("/1", undefined, { createdIndex: 0, modifiedIndex: 0 })
        : node("/1/d", undefined);
      const expected = JSON.stringify(shown(below, isRoot ? "" : "/d", isRoot));
      assert.equal(format(below, root), `${expected}}\n`);
    }),
    { seed, numRuns: 500 },
  );
});

test("one turn formats a bounded number of rows and bytes", () => {
  const taken = (value: string): number => {
    let rows = 0;
    const formatter = new ListingFormatter(node("/1/d", undefined));
    const next = (rowsMax: number): ListingRow[] => {
      rows += rowsMax;
      return Array.from({ length: rowsMax }, () => ({ node: node("/1/d/a", value), depth: 1 }));
    };
    formatter.take({
      take: next,
      next,
      close: () => undefined,
    });
    assert.equal(formatter.ended, false);
    return rows;
  };
  assert.equal(taken("x"), LISTING_STEPS_PER_TURN * LISTING_ROWS_PER_STEP);
  assert.equal(taken("x".repeat(LISTING_BYTES_PER_TURN)), LISTING_ROWS_PER_STEP);
});
