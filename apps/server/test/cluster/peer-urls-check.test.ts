import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { peerUrlsWarning } from "../../src/cluster/peer-urls-check.ts";

const members = [1, 2].map((at) => ({
  id: `000000000000000${at}`,
  name: `m${at}`,
  peerURLs: [`http://h${at}:2380`],
  clientURLs: [],
  isLearner: false,
}));
const warning = (...urls: string[]): string | undefined =>
  peerUrlsWarning(members, "0000000000000001", urls);

describe("a restarted member whose flags name other peer URLs than the cluster knows", () => {
  it("is told whose they are, or how to make them its own", () => {
    assert.equal(warning("http://h1:2380"), undefined);
    assert.match(
      warning("http://h2:2380") ?? "",
      /is member 2 \(m2\): were data directories mixed/,
    );
    assert.match(warning("http://h3:2380") ?? "", /run "etcdctl member update 1 http:\/\/h3:2380"/);
  });

  it("is told nothing while its log does not name it", () => {
    assert.equal(peerUrlsWarning(members, "0000000000000009", ["http://h1:2380"]), undefined);
  });
});
