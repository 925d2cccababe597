/** Two bridges over one server that is killed and started again under their writes. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { EtcdError, type StoreEvent, writeCommand } from "@etcd2/store";
import { collectEvents, openBridge, type OpenedBridge, until } from "../support/bridge-pair.ts";
import { noRealEtcd, RealEtcd } from "../support/real-etcd.ts";

const LINEARIZABLE = { recursive: true, quorum: true };

/** Whether nobody knows what became of a write. */
function isUnknown(error: EtcdError): boolean {
  return error.code === 300 && !error.cause.includes("not carried out");
}

describe("two bridges over one cluster", { skip: noRealEtcd }, () => {
  let etcd: RealEtcd;
  let bridges: OpenedBridge[];
  before(async () => {
    etcd = await RealEtcd.start();
    bridges = [await openBridge([etcd.endpoint]), await openBridge([etcd.endpoint])];
  });
  after(async () => {
    for (const { close } of bridges) close();
    await etcd.remove();
  });

  function bridge(n: number): OpenedBridge["bridge"] {
    const opened = bridges[n % 2];
    assert.ok(opened !== undefined);
    return opened.bridge;
  }

  /** Raises a counter by compare and swap until told to stop. @returns What is certain and what is not */
  async function count(n: number, path: string, goesOn: () => boolean) {
    let certain = 0;
    let open = 0;
    while (goesOn()) {
      try {
        const { node } = await bridge(n).read(path, LINEARIZABLE, undefined);
        await bridge(n).write(
          writeCommand({
            action: "compareAndSwap",
            path,
            value: String(Number(node.value) + 1),
            prevIndex: node.modifiedIndex,
          }),
          undefined,
        );
        certain += 1;
      } catch (error) {
        assert.ok(error instanceof EtcdError, String(error));
        if (isUnknown(error)) open += 1;
        else assert.ok(error.code === 101 || error.code === 300, `${error.code} ${error.cause}`);
      }
    }
    return { certain, open };
  }

  /** Appends to a queue until told to stop. @returns The keys that were acknowledged */
  async function append(n: number, path: string, goesOn: () => boolean) {
    const keys: string[] = [];
    let open = 0;
    for (let at = 0; goesOn(); at += 1) {
      const command = writeCommand({ action: "createInOrder", path, value: `${n}:${at}` });
      try {
        const event: StoreEvent = await bridge(n).write(command, undefined);
        keys.push(event.node.key);
      } catch (error) {
        assert.ok(error instanceof EtcdError && error.code === 300, String(error));
        if (isUnknown(error)) open += 1;
      }
    }
    return { keys, open };
  }

  it("loses no count, no place in a queue and no event over killed servers", async () => {
    const counter = "/1/work/counter";
    const queue = "/1/work/queue";
    const started = await bridge(0).write(
      writeCommand({ action: "set", path: counter, value: "0" }),
      undefined,
    );
    const from = started.node.modifiedIndex + 1;
    const streams = bridges.map((opened) => collectEvents(opened.bridge, "/1/work", from));
    let goesOn = true;
    const isOn = (): boolean => goesOn;
    const counting = [0, 1].map((n) => count(n, counter, isOn));
    const appending = [0, 1].map((n) => append(n, queue, isOn));
    for (let round = 0; round < 3; round += 1) {
      const seen = streams[0]?.texts.length ?? 0;
      await until("progress", () => (streams[0]?.texts.length ?? 0) > seen + 20);
      await etcd.kill("SIGKILL");
      await etcd.restart();
    }
    const seen = streams[1]?.texts.length ?? 0;
    await until("progress after restarts", () => (streams[1]?.texts.length ?? 0) > seen + 20);
    goesOn = false;
    const counts = await Promise.all(counting);
    const queues = await Promise.all(appending);

    const { node, etcdIndex } = await bridge(0).read(counter, LINEARIZABLE, undefined);
    const certain = counts.reduce((sum, one) => sum + one.certain, 0);
    const open = counts.reduce((sum, one) => sum + one.open, 0);
    const value = Number(node.value);
    assert.ok(value >= certain && value <= certain + open, `${value} of ${certain} and ${open}`);

    const listed = await bridge(1).read(queue, LINEARIZABLE, undefined);
    const keys = listed.children?.next(100_000).map((row) => row.node.key) ?? [];
    const acknowledged = queues.flatMap((one) => one.keys);
    const openAppends = queues.reduce((sum, one) => sum + one.open, 0);
    assert.equal(new Set(acknowledged).size, acknowledged.length, "no key was given twice");
    for (const key of acknowledged) assert.ok(keys.includes(key), `${key} was lost`);
    assert.ok(keys.length <= acknowledged.length + openAppends, "nothing was added twice");
    for (const one of queues) assert.deepEqual(one.keys, one.keys.toSorted(), "in order");

    const changes = value + keys.length;
    await until("all events", () => streams.every(({ texts }) => texts.length >= changes));
    const [first, second] = streams;
    assert.ok(first !== undefined && second !== undefined);
    assert.equal(first.texts.length, changes, `each change once, up to ${etcdIndex}`);
    assert.deepEqual(first, second, "both bridges tell the same");
    assert.deepEqual(
      first.indexes,
      [...new Set(first.indexes)].sort((a, b) => a - b),
    );
  });
});
