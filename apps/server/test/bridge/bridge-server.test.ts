import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { unavailable } from "../../src/bridge/bridge-server.ts";
import type { UpstreamState } from "../../src/bridge/upstream-cluster.ts";
import { lines, refusal, run } from "../config/config-harness.ts";

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
    [`${bridge} --auth-metrics`, /-auth-metrics cannot be kept beside -v3-endpoints/],
    [`${bridge} --auth-all-endpoints`, /-auth-all-endpoints cannot be kept beside/],
    ["--v3-cafile ca.pem", /-v3-cafile is of no use without -v3-endpoints/],
    ["--v3-endpoints 127.0.0.1", /not a URL like http:\/\/host:port/],
    ["--v3-endpoints http://:2379", /not a URL like http:\/\/host:port/],
    ["--v3-endpoints http://a:1/v2", /not a URL like http:\/\/host:port/],
    ["--v3-endpoints http://ann@a:1", /not a URL like http:\/\/host:port/],
    ["--v3-endpoints unix://a:1", /not a URL like http:\/\/host:port/],
    ["--v3-endpoints http://%41:1", /invalid URL escape "%41"/],
    ["--v3-endpoints http://a:65536", /no connection has such a port/],
    [`${bridge} --v3-prefix v2`, /not a path like \/v2/],
    [`${bridge} --v3-certfile cert.pem`, /must be given together/],
    [`${bridge} --v3-username ann`, /must be given together/],
  ] as const) {
    it(`${flags} is refused`, async () => {
      assert.match((await refusal(flags)).join("\n"), reason);
    });
  }
});

describe("endpoints of a bridge", () => {
  for (const [given, endpoints] of [
    ["http://etcd.1:2379", ["http://etcd.1:2379"]],
    [
      "http://etcd_3:2379,HTTPS://Etcd.Example.:2379/",
      ["http://etcd_3:2379", "https://Etcd.Example.:2379"],
    ],
    ["http://010.0.0.1:2379", ["http://010.0.0.1:2379"]],
    ["http://[fe80::1%25eth0]:2379", ["http://[fe80::1%25eth0]:2379"]],
    ["https://etcd", ["https://etcd"]],
  ] as const) {
    it(`${given} is taken as it stands`, async () => {
      assert.deepEqual((await run(`--v3-endpoints ${given}`)).bridge.endpoints, endpoints);
    });
  }
});

describe("flags of members beside those of a bridge", () => {
  const bridge = "--v3-endpoints http://127.0.0.1:1";

  it("are named in one warning", async () => {
    const flags = `${bridge} --name a --initial-cluster a=http://127.0.0.1:2380 --wal-dir w --snapshot-count 5`;
    assert.deepEqual(await lines(flags), [
      "warning etcdmain: a bridge is no member: -name, -wal-dir, -snapshot-count, -initial-cluster have no effect beside -v3-endpoints",
    ]);
  });

  it("are named when they are variables", async () => {
    const line = (await lines(bridge, { ETCD_NAME: "a" })).at(-1);
    assert.match(line ?? "", /a bridge is no member: -name has no effect/);
  });

  it("that a bridge does use are not", async () => {
    const flags = `${bridge} --listen-client-urls http://127.0.0.1:0 --advertise-client-urls http://127.0.0.1:2379 --cors * --debug`;
    assert.deepEqual(await lines(flags), []);
  });
});
