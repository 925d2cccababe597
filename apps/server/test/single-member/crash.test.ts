import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { until } from "@etcd2/test-support";
import { ask, ServerProcess } from "./server-process.ts";

interface Acknowledged {
  readonly key: string;
  readonly value: string;
  readonly index: number;
}

/** Writes from several clients at once until the server goes away; records what it acknowledged. */
async function writeUntilCut(
  url: string,
  round: number,
  acknowledged: Acknowledged[],
): Promise<void> {
  const client = async (name: number): Promise<void> => {
    for (let n = 0; ; n += 1) {
      const key = `/load/r${round}/c${name}/k${n}`;
      const value = `${round}.${name}.${n}`;
      try {
        const { status, body } = await ask("PUT", `${url}/v2/keys${key}`, `value=${value}`);
        if (status !== 201) throw new Error(`status ${status}: ${body}`);
        const { node } = JSON.parse(body) as { node: { modifiedIndex: number } };
        acknowledged.push({ key, value, index: node.modifiedIndex });
      } catch (error) {
        if (error instanceof Error && error.message.startsWith("status")) throw error;
        return;
      }
    }
  };
  await Promise.all(Array.from({ length: 8 }, (_, name) => client(name)));
}

describe("a member killed under write load", () => {
  it("has every acknowledged write with its index after each of three restarts", async () => {
    // Compactions happen during the load too.
    const server = await ServerProcess.start(["--snapshot-count", "200"]);
    try {
      const acknowledged: Acknowledged[] = [];
      for (let round = 1; round <= 3; round += 1) {
        const load = writeUntilCut(server.clientUrl, round, acknowledged);
        const target = acknowledged.length + 400;
        await until("enough writes are acknowledged", () => acknowledged.length >= target);
        await server.kill("SIGKILL");
        await load;
        await server.spawn();
        const read = await ask(
          "GET",
          `${server.clientUrl}/v2/keys/load?recursive=true&quorum=true`,
        );
        const found = new Map<string, { value: string; modifiedIndex: number }>();
        const walk = (node: {
          key: string;
          value?: string;
          modifiedIndex: number;
          nodes?: never[];
        }): void => {
          if (node.value !== undefined) {
            found.set(node.key, { value: node.value, modifiedIndex: node.modifiedIndex });
          }
          for (const child of node.nodes ?? []) walk(child);
        };
        walk((JSON.parse(read.body) as { node: Parameters<typeof walk>[0] }).node);
        for (const { key, value, index } of acknowledged) {
          assert.deepEqual(found.get(key), { value, modifiedIndex: index }, `lost: ${key}`);
        }
        const indexes = acknowledged.map(({ index }) => index);
        assert.equal(new Set(indexes).size, indexes.length, "no index is given twice");
      }
    } finally {
      await server.dispose();
    }
  });
});
