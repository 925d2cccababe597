import assert from "node:assert/strict";
import { test } from "node:test";
import { NodeCache } from "../../src/nodes/node-cache.ts";
import { TreeNode } from "../../src/tree/tree-node.ts";

const node = (value: string): TreeNode => new TreeNode(false, value, 1, 1, undefined, undefined);

test("nodes, missing paths and unknown paths are told apart", () => {
  const cache = new NodeCache(100_000);
  const a = node("a");
  cache.set("/1/a", a);
  cache.set("/1/b", undefined);
  assert.equal(cache.get("/1/a"), a);
  assert.equal(cache.get("/1/b"), null);
  assert.equal(cache.get("/1/c"), undefined);
  cache.delete("/1/a");
  assert.equal(cache.get("/1/a"), undefined);
});

test("what is used stays, what is not goes, and the size stays bounded", () => {
  const cache = new NodeCache(60_000);
  cache.set("/1/hot", node("h"));
  let kept = 0;
  for (let i = 0; i < 5000; i++) {
    cache.set(`/1/${i}`, node("v"));
    if (i % 20 === 0) assert.ok(cache.get("/1/hot") instanceof TreeNode, `after ${i}`);
  }
  for (let i = 0; i < 5000; i++) if (cache.get(`/1/${i}`) !== undefined) kept += 1;
  assert.ok(kept > 50 && kept < 400, `${kept} kept`);
});

test("writing one node again and again drives nothing out", () => {
  const cache = new NodeCache(60_000);
  cache.set("/1/quiet", node("q"));
  for (let i = 0; i < 10_000; i++) cache.set("/1/busy", node("b".repeat(i % 50)));
  assert.ok(cache.get("/1/quiet") instanceof TreeNode);
});

test("a huge node is not kept, and what was there before is forgotten", () => {
  const cache = new NodeCache(60_000);
  cache.set("/1/a", node("small"));
  cache.set("/1/a", node("x".repeat(50_000)));
  assert.equal(cache.get("/1/a"), undefined);
});

test("a prefix is forgotten in both generations", () => {
  const cache = new NodeCache(20_000);
  for (let i = 0; i < 60; i++) cache.set(`/1/d/${i}`, node("v"));
  cache.set("/1/dd", node("v"));
  cache.deletePrefix("/1/d/");
  for (let i = 0; i < 60; i++) assert.equal(cache.get(`/1/d/${i}`), undefined);
  assert.ok(cache.get("/1/dd") instanceof TreeNode);
});
