/** Who may do what is decided by the users of the v3 cluster, never by those of the bridge. */
import assert from "node:assert/strict";
import { it } from "node:test";
import { writeCommand } from "@etcd2/store";
import { Bridge } from "../../src/bridge/bridge.ts";
import * as methods from "../../src/client/methods.ts";
import { ANONYMOUS, V3Client } from "../../src/client/v3-client.ts";
import { noRealEtcd, RealEtcd } from "../support/real-etcd.ts";

it("never lends its own credentials to requests without any", { skip: noRealEtcd }, async () => {
  const etcd = await RealEtcd.start();
  const root = { user: "root", password: "r" };
  const setup = new V3Client({ endpoints: [etcd.endpoint] });
  const client = new V3Client({ endpoints: [etcd.endpoint], credentials: root });
  let bridge: Bridge | undefined;
  try {
    await setup.call(methods.userAdd, { name: "root", password: "r" });
    await setup.call(methods.roleAdd, { name: "root" });
    await setup.call(methods.userGrantRole, { user: "root", role: "root" });
    await setup.call(methods.authEnable, {});
    const observer = {
      called: () => undefined,
      retried: () => undefined,
      conflicted: () => undefined,
    };
    const log = (): undefined => undefined;
    bridge = await Bridge.open({ client, prefix: "/v2", observer, log });
    const set = writeCommand({ action: "set", path: "/1/k", value: "1" });
    await bridge.write(set, root);
    const reading = { recursive: false, quorum: true };
    const watching = { recursive: true, sinceIndex: 0 };
    for (const caller of [ANONYMOUS, { user: "root", password: "wrong" }]) {
      await assert.rejects(bridge.write(set, caller), { code: 110 });
      await assert.rejects(bridge.read("/1/k", reading, caller), { code: 110 });
      await assert.rejects(bridge.startWatch("/1", watching, caller), { code: 110 });
    }
    assert.equal((await bridge.read("/1/k", reading, root)).node.value, "1");
  } finally {
    bridge?.close();
    client.close();
    setup.close();
    await etcd.remove();
  }
});
