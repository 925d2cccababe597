import assert from "node:assert/strict";
import { describe, it } from "node:test";

import { checkInitialCluster } from "../../src/config/initial-cluster.ts";
import { parseSocketUrl } from "../../src/config/urls.ts";
import { run } from "./config-harness.ts";

describe("URLs", () => {
  it("are read into scheme, host and port", () => {
    const read = (text: string) => {
      const parsed = parseSocketUrl(text);
      return parsed.ok ? parsed.value : parsed.error;
    };
    assert.deepEqual(read(" https://[::1]:2379 "), {
      scheme: "https",
      host: "::1",
      port: 2379,
      text: "https://[::1]:2379",
    });
    assert.deepEqual(read("HTTP://:2379"), {
      scheme: "http",
      host: "",
      port: 2379,
      text: "http://:2379",
    });
    assert.equal(read("unix://a:1"), "URL scheme must be http or https: unix://a:1");
    assert.equal(
      read("http://::1:2379"),
      'URL address does not have the form "host:port": http://::1:2379',
    );
    assert.equal(read("http://a:65536"), "URL does not have a valid port: http://a:65536");
    assert.equal(
      read("http://a:1?x"),
      "URL must not contain a user, query or fragment: http://a:1?x",
    );
    assert.equal(
      read("http://u@a:1"),
      "URL must not contain a user, query or fragment: http://u@a:1",
    );
    assert.equal(read("http://a b:1"), 'parse "http://a b:1": invalid character " " in host name');
    assert.equal(read("http://%41:1"), 'parse "http://%41:1": invalid URL escape "%41"');
    assert.deepEqual(read("http://[fe80::1%25eth0]:1"), {
      scheme: "http",
      host: "fe80::1%eth0",
      port: 1,
      text: "http://[fe80::1%25eth0]:1",
    });
  });
});

describe("the initial cluster at a first start", () => {
  const resolve = (host: string) =>
    host === "node1" ? Promise.resolve("10.0.0.1") : Promise.reject(new Error("no such host"));
  const check = async (args: string, isJoining = false) => {
    const config = await run(args);
    const problem = await checkInitialCluster(
      {
        name: config.name,
        cluster: config.initialCluster,
        advertisePeerUrls: config.advertisePeerUrls,
        isJoining,
        isClusterDefault: config.isInitialClusterDefault,
        isAdvertiseDefault: config.isAdvertisePeerUrlsDefault,
        discoveryUrl: config.discovery,
      },
      resolve,
    );
    return problem === undefined ? [] : [problem.message, ...problem.hints];
  };

  it("passes when the own URLs are the advertised ones, in any order or by name", async () => {
    assert.deepEqual(await check(""), []);
    assert.deepEqual(
      await check(
        "--name a --initial-cluster b=http://b:1,a=http://a:2,a=http://a:1 --initial-advertise-peer-urls http://a:1,http://a:2",
      ),
      [],
    );
    assert.deepEqual(
      await check(
        "--name a --initial-cluster a=http://node1:1 --initial-advertise-peer-urls http://10.0.0.1:1",
      ),
      [],
    );
  });

  it("is refused with etcd 2.3.8's messages and hints", async () => {
    assert.deepEqual(await check("--name b --initial-cluster a=http://a:1"), [
      `couldn't find local name "b" in the initial cluster configuration`,
    ]);
    assert.deepEqual(await check("--name a --initial-advertise-peer-urls http://a:1"), [
      "--initial-cluster must include a=http://a:1 given --initial-advertise-peer-urls=http://a:1",
      "forgot to set --initial-cluster flag?",
      "if you want to use discovery service, please set --discovery flag.",
    ]);
    assert.deepEqual(await check("--name a --initial-cluster a=http://nowhere:1"), [
      "--initial-cluster must include a=http://localhost:2380,a=http://localhost:7001 given --initial-advertise-peer-urls=http://localhost:2380,http://localhost:7001",
      "forgot to set --initial-advertise-peer-urls flag?",
    ]);
    assert.deepEqual(
      await check(
        "--name a --initial-cluster a=http://localhost:1,b=http://localhost:1 --initial-advertise-peer-urls http://localhost:1",
      ),
      ["initial cluster a=http://localhost:1,b=http://localhost:1 has duplicate url"],
    );
  });

  it("does not compare URLs of a member that joins", async () => {
    assert.deepEqual(await check("--name a --initial-cluster a=http://other:1", true), []);
  });
});
