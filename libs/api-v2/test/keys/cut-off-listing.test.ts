/** A listing that cannot be read to its end never looks like a whole answer. */
import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { StoreError } from "@etcd2/store";
import type { Listing, NodeExtern } from "@etcd2/store";
import { answerRead } from "../../src/keys/read-response.ts";

function nodeOf(key: string, dir: boolean): NodeExtern {
  const value = dir ? undefined : "x".repeat(1000);
  return { key, value, dir, createdIndex: 1, modifiedIndex: 1, expirationMs: undefined, ttl: 0 };
}

test("a store that a snapshot replaces breaks the connection, and nothing else", async () => {
  let taken = 0;
  let isClosed = false;
  const take: Listing["take"] = (rowsMax) => {
    taken += 1;
    if (taken > 50) throw new StoreError("closed", "the store is closed");
    return Array.from({ length: rowsMax }, (_, at) => ({
      node: nodeOf(`/1/d/${taken}-${at}`, false),
      depth: 1,
    }));
  };
  const children: Listing = {
    take,
    next: (rowsMax) => take(rowsMax) ?? [],
    close: () => {
      isClosed = true;
    },
  };
  const server = createServer((_req, res) => {
    answerRead(
      res,
      [],
      { node: nodeOf("/1/d", true), children, etcdIndex: 1, raftIndex: 1, raftTerm: 1 },
      false,
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const response = await fetch(`http://127.0.0.1:${port}/`);
  assert.equal(response.status, 200);
  await assert.rejects(response.text());
  assert.ok(taken > 50 && isClosed);
  await new Promise((resolve) => server.close(resolve));
});
