import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, before, beforeEach, describe, it } from "node:test";
import { text } from "node:stream/consumers";

import {
  BAD_ENDPOINT,
  HttpDiscoveryService,
  ServiceRefusal,
  ServiceUnreachable,
} from "../../src/discovery/discovery-service.ts";
import { lookUpCluster } from "../../src/discovery/srv.ts";
import type { SrvBootstrap, SrvResolver } from "../../src/discovery/srv.ts";
import { StartError } from "../../src/base/start-error.ts";
import { parseUrl } from "@etcd2/net-url";
import { parseSocketUrls } from "../../src/config/urls.ts";
import { captureLog } from "../captured-log.ts";

type Script = (request: IncomingMessage, response: ServerResponse, body: string) => void;

describe("the discovery service over HTTP", () => {
  let script: Script;
  let server: Server;
  let base = "";
  const asked: string[] = [];
  const services: HttpDiscoveryService[] = [];

  function open(options: { url?: string; proxy?: string; env?: NodeJS.ProcessEnv } = {}) {
    const { url = `${base}/v2/keys/token`, proxy = "", env = {} } = options;
    const service = new HttpDiscoveryService({ url: parseUrl(url), proxy, env });
    services.push(service);
    return service;
  }

  before(async () => {
    server = createServer((request, response) => {
      void text(request).then((body) => {
        asked.push(`${request.method ?? ""} ${request.url ?? ""}${body === "" ? "" : ` ${body}`}`);
        script(request, response, body);
      });
    });
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  beforeEach(() => {
    asked.length = 0;
  });
  after(() => {
    for (const service of services) service.close();
    server.close();
    server.closeAllConnections();
  });

  const answering =
    (status: number, body: string, headers: Record<string, string> = {}): Script =>
    (_request, response) => {
      response.writeHead(status, headers);
      response.end(body);
    };

  it("reads, lists, creates and waits with the requests of the v2 API", async () => {
    const service = open();
    script = answering(200, '{"action":"get","node":{"key":"/token/_config/size","value":"3"}}');
    assert.equal(await service.read("/_config/size"), "3");
    script = answering(
      200,
      '{"action":"get","node":{"key":"/token","dir":true,"nodes":[{"key":"/token/ab","value":"x=http://h:1","createdIndex":7}]}}',
      { "X-Etcd-Index": "9" },
    );
    assert.deepEqual(await service.list(), {
      nodes: [{ key: "ab", value: "x=http://h:1", createdIndex: 7 }],
      index: 9,
    });
    script = answering(201, '{"action":"create","node":{"key":"/token/cd"}}');
    await service.create("/cd", "y=http://h:2,y=http://h:3");
    await service.waitForChange(9);
    assert.deepEqual(asked, [
      "GET /v2/keys/token/_config/size",
      "GET /v2/keys/token",
      "PUT /v2/keys/token/cd?prevExist=false value=y%3Dhttp%3A%2F%2Fh%3A2%2Cy%3Dhttp%3A%2F%2Fh%3A3",
      "GET /v2/keys/token?wait=true&recursive=true&waitIndex=10",
    ]);
  });

  it("tells errors of the store from a store in trouble and from no store at all", async () => {
    const service = open();
    script = answering(404, '{"errorCode":100,"message":"Key not found","cause":"/x","index":4}');
    await assert.rejects(
      service.list(),
      (error) =>
        error instanceof ServiceRefusal &&
        error.code === 100 &&
        error.message === "100: Key not found (/x) [4]",
    );
    script = answering(500, '{"errorCode":300,"message":"Raft Internal Error"}');
    await assert.rejects(service.list(), ServiceUnreachable);
    for (const [status, body] of [
      [200, "<html>"],
      [404, "404 page not found\n"],
      [200, "{}"],
    ] as const) {
      script = answering(status, body);
      await assert.rejects(
        service.list(),
        (error) => error instanceof ServiceRefusal && error.message === BAD_ENDPOINT,
      );
    }
  });

  it("asks again when the index it waits from has been cleared", async () => {
    script = answering(
      400,
      '{"errorCode":401,"message":"The event in requested index is outdated"}',
    );
    await open().waitForChange(1);
  });

  it("follows redirects, keeping the query, and stops in a circle", async () => {
    script = (request, response, body) => {
      const isFirst = request.url?.startsWith("/v2/keys/token") === true;
      if (isFirst) answering(307, "", { Location: "/v2/keys/moved" })(request, response, body);
      else answering(200, '{"node":{"key":"/moved"}}')(request, response, body);
    };
    await open().create("/ab", "v");
    assert.equal(asked[1], "PUT /v2/keys/moved?prevExist=false value=v");
    script = answering(301, "", { Location: "/v2/keys/token" });
    await assert.rejects(open().list(), /too many redirects/);
  });

  it("is unreachable where nothing listens, and where the connection is cut", async () => {
    script = (request) => request.socket.destroy();
    await assert.rejects(open().list(), ServiceUnreachable);
    await assert.rejects(open({ url: "http://127.0.0.1:1/v2/keys/t" }).list(), ServiceUnreachable);
  });

  it("goes through the proxy it is given, and not through that of the environment to this machine", async () => {
    script = answering(200, '{"node":{"key":"/token","nodes":[]}}', { "X-Etcd-Index": "1" });
    await open({ url: "http://discovery.invalid/v2/keys/token", proxy: base }).list();
    assert.deepEqual(asked, ["GET http://discovery.invalid/v2/keys/token"]);
    await open({
      env: { HTTP_PROXY: "http://127.0.0.1:1", http_proxy: "http://127.0.0.1:1" },
    }).list();
  });
});

describe("the initial cluster from service records", () => {
  const hosts: Readonly<Record<string, readonly string[]>> = {
    "one.example": ["10.0.0.1"],
    "two.example": ["10.0.0.2", "10.0.1.2"],
    "three.example": ["10.0.0.3"],
  };

  function resolverOf(records: Record<string, { name: string; port: number }[]>): SrvResolver {
    const missing = (): Error => Object.assign(new Error("not found"), { code: "ENOTFOUND" });
    return {
      resolveSrv: (name) =>
        records[name] === undefined ? Promise.reject(missing()) : Promise.resolve(records[name]),
      addresses: (host) =>
        hosts[host] === undefined ? Promise.reject(missing()) : Promise.resolve(hosts[host]),
    };
  }

  function bootstrapOf(peerUrls: string, more: Partial<SrvBootstrap> = {}): SrvBootstrap {
    const parsed = parseSocketUrls(peerUrls);
    assert.ok(parsed.ok);
    const advertisePeerUrls = parsed.value;
    const shared = { domain: "example", serviceName: "", name: "own", isProxy: false };
    return { ...shared, advertisePeerUrls, ...more };
  }

  const three = {
    "_etcd-server._tcp.example": [
      { name: "one.example.", port: 2380 },
      { name: "two.example", port: 2380 },
      { name: "three.example", port: 2380 },
    ],
  };

  async function refusal(promise: Promise<string>): Promise<readonly string[]> {
    const error = await promise.then(
      () => assert.fail("it was not refused"),
      (reason: unknown) => reason,
    );
    assert.ok(error instanceof StartError);
    return error.lines.map(({ level, message }) => `${level} ${message}`);
  }

  it("names the record with an own address after this member, the others 0, 1, ...", async () => {
    const { logging, lines } = captureLog();
    const bootstrap = bootstrapOf("http://10.0.1.2:2380");
    assert.equal(
      await lookUpCluster(bootstrap, resolverOf(three), logging.logger("discovery")),
      "0=http://one.example:2380,own=http://two.example:2380,1=http://three.example:2380",
    );
    assert.equal(
      lines[0],
      "N discovery: got bootstrap from DNS for etcd-server at http://one.example:2380",
    );
  });

  it("takes https members from the -ssl records, and the suffix of --discovery-srv-name", async () => {
    const records = {
      "_etcd-server-ssl-blue._tcp.example": [{ name: "one.example", port: 2380 }],
      "_etcd-server-blue._tcp.example": [{ name: "two.example", port: 1234 }],
    };
    const log = captureLog().logging.logger("discovery");
    const bootstrap = bootstrapOf("https://one.example:2380", { serviceName: "blue" });
    assert.equal(
      await lookUpCluster(bootstrap, resolverOf(records), log),
      "own=https://one.example:2380,0=http://two.example:1234",
    );
  });

  it("gives no other member the own name, even when that is a number", async () => {
    const log = captureLog().logging.logger("discovery");
    const bootstrap = bootstrapOf("http://three.example:2380", { name: "0" });
    assert.equal(
      await lookUpCluster(bootstrap, resolverOf(three), log),
      "1=http://one.example:2380,2=http://two.example:2380,0=http://three.example:2380",
    );
  });

  it("leaves out records that cannot be resolved, with a warning", async () => {
    const records = { "_etcd-server._tcp.example": [...three["_etcd-server._tcp.example"]] };
    records["_etcd-server._tcp.example"].push({ name: "gone.example", port: 2380 });
    const { logging, lines } = captureLog();
    const text = await lookUpCluster(
      bootstrapOf("http://one.example:2380"),
      resolverOf(records),
      logging.logger("discovery"),
    );
    assert.ok(!text.includes("gone"));
    assert.ok(
      lines.includes("W discovery: couldn't resolve host gone.example:2380 during SRV discovery"),
    );
  });

  it("refuses a member that is in no record, and lets a proxy be in none", async () => {
    const log = captureLog().logging.logger("discovery");
    const lines = await refusal(
      lookUpCluster(bootstrapOf("http://10.0.0.1:9999"), resolverOf(three), log),
    );
    assert.equal(
      lines[0],
      'critical error setting up initial cluster: cannot find local etcd member "own" in SRV records',
    );
    const proxy = bootstrapOf("http://nowhere.example:9999", { isProxy: true });
    assert.match(await lookUpCluster(proxy, resolverOf(three), log), /^0=.*,1=.*,2=/);
  });

  it("refuses when neither kind of records can be had", async () => {
    const log = captureLog().logging.logger("discovery");
    const bootstrap = bootstrapOf("http://10.0.0.1:2380");
    assert.deepEqual(await refusal(lookUpCluster(bootstrap, resolverOf({}), log)), [
      "warning error querying DNS SRV records for _etcd-server-ssl lookup _etcd-server-ssl._tcp.example: no such host",
      "warning error querying DNS SRV records for _etcd-server lookup _etcd-server._tcp.example: no such host",
      "error SRV discovery failed: too many errors querying DNS SRV records",
      "critical error setting up initial cluster: lookup _etcd-server._tcp.example: no such host",
    ]);
  });
});
