/** The ids of members and clusters are those that etcd 2.3.8 computes. */
import assert from "node:assert/strict";
import { it } from "node:test";

import { clusterId, formatId, memberId, parseId } from "../src/ids.ts";

const defaults = {
  peerUrls: ["http://localhost:7001", "http://localhost:2380"],
  token: "etcd-cluster",
};

it("the default flags give the ids of etcd 2.3.8, whatever the order of the URLs", () => {
  const id = memberId(defaults);
  assert.equal(id, "ce2a822cea30bfca");
  assert.equal(memberId({ ...defaults, peerUrls: defaults.peerUrls.toReversed() }), id);
  assert.equal(clusterId([id]), "7e27652122e8b2ae");
});

it("token and time of addition change the id", () => {
  const ids = new Set([
    memberId(defaults),
    memberId({ ...defaults, token: "other" }),
    memberId({ ...defaults, addedAtSeconds: 1700000000 }),
    memberId({ ...defaults, addedAtSeconds: 1700000001 }),
  ]);
  assert.equal(ids.size, 4);
});

it("the cluster id does not depend on the order of members", () => {
  assert.equal(
    clusterId(["00000000000000ff", "ce2a822cea30bfca"]),
    clusterId(["ce2a822cea30bfca", "00000000000000ff"]),
  );
});

it("ids are shown without leading zeros and read back to sixteen digits", () => {
  assert.equal(formatId("00a822cea30bfca0"), "a822cea30bfca0");
  assert.equal(formatId("0000000000000000"), "0");
  assert.equal(parseId("a822cea30bfca0"), "00a822cea30bfca0");
  assert.equal(parseId("CE2A822CEA30BFCA"), "ce2a822cea30bfca");
  for (const bad of ["", "0x1", "12345678901234567", "g", "-1", " 1"]) {
    assert.equal(parseId(bad), undefined, bad);
  }
});
