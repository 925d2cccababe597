/** /v2/stats/self and /v2/stats/leader tell of appends and of links, each for itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ServerStats } from "../../src/metrics/server-stats.ts";

const SELF = "00000000000000aa";
const FOLLOWER = "00000000000000bb";

test("appends are counted one by one, round trips alone make the latency", () => {
  let now = 0;
  const stats = new ServerStats({ name: "m", memberId: SELF, wallMs: () => 0, now: () => now });
  stats.roleChanged("leader", SELF);
  stats.onAppendsSent(FOLLOWER, 3, 300);
  now = 500;
  stats.onAppendsSent(FOLLOWER, 1, 100);
  stats.onAppendsReceived(FOLLOWER, 2, 50);
  const self = stats.self();
  assert.deepEqual([self.sendAppendRequestCnt, self.recvAppendRequestCnt], [4, 2]);
  assert.deepEqual([self.sendPkgRate, self.sendBandwidthRate], [8, 800]);

  const before = stats.leader([FOLLOWER]).followers["bb"];
  assert.deepEqual(before?.counts, { fail: 0, success: 4 });
  assert.equal(before.latency.minimum, 2 ** 63);
  stats.onRoundTrip(FOLLOWER, 0.002);
  stats.onRoundTrip(FOLLOWER, 0.004);
  stats.onMessagesDropped(FOLLOWER);
  assert.deepEqual(stats.leader([FOLLOWER]).followers["bb"], {
    latency: { current: 4, average: 3, standardDeviation: 1, minimum: 2, maximum: 4 },
    counts: { fail: 1, success: 4 },
  });
});
