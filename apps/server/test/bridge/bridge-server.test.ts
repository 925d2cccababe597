import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { unavailable } from "../../src/bridge/bridge-server.ts";
import type { UpstreamState } from "../../src/bridge/upstream-cluster.ts";
import { refusal } from "../config/config-harness.ts";

const state = (isAuthOn: boolean): UpstreamState => ({
  members: [],
  leader: "",
  connected: "",
  version: "",
  sizeBytes: 0,
  liveBytes: 0,
  isAuthOn,
  spaceAlarm: "",
});

describe("endpoints that a bridge has not", () => {
  for (const [method, path, place] of [
    ["PUT", "/v2/auth/enable", /user, role, auth/],
    ["DELETE", "/v2/auth/enable", /user, role, auth/],
    ["GET", "/v2/auth/users", /user, role, auth/],
    ["PUT", "/v2/auth/users/ann", /user, role, auth/],
    ["DELETE", "/v2/auth/roles/reader", /user, role, auth/],
    ["POST", "/v2/members", /etcdctl member/],
    ["PUT", "/v2/members/1a", /etcdctl member/],
    ["DELETE", "/v2/members/1a", /etcdctl member/],
    ["GET", "/v2/stats/leader", /metrics of its leader/],
    ["GET", "/v2/admin/snapshot", /snapshot save/],
  ] as const) {
    it(`${method} ${path} is refused and says where to do it`, () => {
      assert.match(unavailable(state(false), method, path) ?? "", place);
    });
  }

  for (const [method, path] of [
    ["GET", "/v2/members"],
    ["GET", "/v2/members/leader"],
    ["GET", "/v2/stats/self"],
    ["GET", "/v2/stats/store"],
    ["PUT", "/v2/keys/v2/auth/users"],
    ["DELETE", "/v2/keys/v2/members/1"],
    ["PUT", "/v2/authority"],
  ] as const) {
    it(`${method} ${path} is not among them`, () => {
      assert.equal(unavailable(state(true), method, path), undefined);
    });
  }

  it("whether authentication is on is answered only while it is off", () => {
    assert.equal(unavailable(state(false), "GET", "/v2/auth/enable"), undefined);
    assert.notEqual(unavailable(state(true), "GET", "/v2/auth/enable"), undefined);
  });
});

describe("flags of a bridge", () => {
  const bridge = "--v3-endpoints http://127.0.0.1:1";
  for (const [flags, reason] of [
    [`${bridge} --proxy on`, /-proxy and -v3-endpoints exclude each other/],
    [`${bridge} --discovery http://127.0.0.1:2/x`, /-discovery and -v3-endpoints exclude/],
    [`${bridge} --discovery-srv example.com`, /-discovery-srv and -v3-endpoints exclude/],
    [`${bridge} --force-new-cluster`, /-force-new-cluster and -v3-endpoints exclude/],
    ["--v3-cafile ca.pem", /-v3-cafile is of no use without -v3-endpoints/],
    ["--v3-endpoints 127.0.0.1", /not a URL like http:\/\/host:port/],
    [`${bridge} --v3-prefix v2`, /not a path like \/v2/],
    [`${bridge} --v3-certfile cert.pem`, /must be given together/],
    [`${bridge} --v3-username ann`, /must be given together/],
  ] as const) {
    it(`${flags} is refused`, async () => {
      assert.match((await refusal(flags)).join("\n"), reason);
    });
  }
});
