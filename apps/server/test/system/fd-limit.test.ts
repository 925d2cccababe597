/** How many connections the limit of file descriptors allows. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connectionBudget, fdLimit, fdsUsed, parseFdLimit } from "../../src/system/fd-limit.ts";

describe("the budget of file descriptors", () => {
  it("keeps 150 back and refuses to start with no more than that", () => {
    const clientsOf = (limit: number, wanted: number): number => {
      const budget = connectionBudget(limit, wanted);
      assert.ok(budget.ok);
      return budget.connectionsMax;
    };
    assert.equal(clientsOf(1024, 0), 738);
    assert.equal(clientsOf(1024, 100), 100);
    assert.equal(clientsOf(1024, 5000), 738);
    assert.equal(clientsOf(151, 0), 1);
    assert.equal(clientsOf(Number.POSITIVE_INFINITY, 0), Number.POSITIVE_INFINITY);
    assert.deepEqual(connectionBudget(150, 0), {
      ok: false,
      error:
        "file descriptor limit[150] of etcd process is too low, and should be set higher than 150 to ensure internal usage",
    });
  });

  it("gives every side its share, and none that of log and store", () => {
    for (const limit of [200, 1024, 4096, 65_536, 1_048_576]) {
      const budget = connectionBudget(limit, 0);
      assert.ok(budget.ok);
      const { connectionsMax, peerConnectionsMax, metricsConnectionsMax } = budget;
      assert.ok(connectionsMax + peerConnectionsMax + metricsConnectionsMax <= limit - 150);
      assert.ok(peerConnectionsMax >= 6 && metricsConnectionsMax >= 1);
      assert.ok(connectionsMax >= (limit - 150) * 0.8, "clients get most of it");
    }
  });

  it("reads the soft limit", () => {
    assert.equal(
      parseFdLimit(
        "Limit\nMax open files            1024                 524288               files\n",
      ),
      1024,
    );
    assert.equal(
      parseFdLimit("Max open files            unlimited            unlimited            files\n"),
      Infinity,
    );
    assert.equal(parseFdLimit(""), Infinity);
    assert.ok(fdLimit() > 10);
    assert.ok(fdsUsed() > 2);
  });
});
