/** Three real members, each with a console, and a real Chromium. */
import { spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { Agent, request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { EtcdClient } from "@etcd2/client";
import { freePort, until } from "@etcd2/test-support";
import { type Browser, chromium, type Page } from "playwright-core";

const CHROMIUM = "/usr/bin/chromium";
const SERVER = join(import.meta.dirname, "../../server/bin/etcd");

/** Whether the tests can run here. */
export const hasChromium: boolean = existsSync(CHROMIUM);

export interface Node {
  readonly name: string;
  readonly clientUrl: string;
  readonly consoleUrl: string;
  start(): void;
  stop(signal?: NodeJS.Signals): Promise<void>;
}

export class Cluster {
  readonly #dir = mkdtempSync(join(tmpdir(), "etcd2-console-"));
  readonly nodes: Node[] = [];

  static async start(size: number): Promise<Cluster> {
    const cluster = new Cluster();
    const ports: { peer: number; client: number; page: number }[] = [];
    for (let i = 0; i < size; i += 1) {
      ports.push({ peer: await freePort(), client: await freePort(), page: await freePort() });
    }
    const initial = ports.map(({ peer }, i) => `m${i}=http://127.0.0.1:${peer}`).join(",");
    for (const [i, port] of ports.entries()) cluster.nodes.push(cluster.#node(i, port, initial));
    for (const node of cluster.nodes) node.start();
    await cluster.#ready();
    return cluster;
  }

  async #ready(): Promise<void> {
    try {
      await this.#healthy();
    } catch (error) {
      await this.close();
      throw error;
    }
  }

  async #healthy(): Promise<void> {
    await until("all members are healthy", async () => {
      for (const { clientUrl } of this.nodes) {
        using client = new EtcdClient({ endpoints: clientUrl });
        const health = await client.health().catch(() => undefined);
        if (health?.isHealthy !== true) return false;
      }
      return true;
    });
  }

  #node(i: number, ports: { peer: number; client: number; page: number }, initial: string): Node {
    const [peer, client, page] = [ports.peer, ports.client, ports.page].map(
      (port) => `http://127.0.0.1:${port}`,
    );
    const args = {
      name: `m${i}`,
      "data-dir": join(this.#dir, `m${i}`),
      "listen-peer-urls": peer,
      "initial-advertise-peer-urls": peer,
      "listen-client-urls": client,
      "advertise-client-urls": client,
      "listen-console-urls": page,
      "initial-cluster": initial,
    };
    let child: ChildProcess | undefined;
    return {
      name: `m${i}`,
      clientUrl: client ?? "",
      consoleUrl: page ?? "",
      start: () => {
        const words = Object.entries(args).map(([name, value]) => `--${name}=${value ?? ""}`);
        child = spawn(SERVER, words, { stdio: "ignore" });
      },
      stop: async (signal = "SIGTERM") => {
        const ending = child;
        if (ending === undefined) return;
        child = undefined;
        const ended = new Promise((resolve) => ending.once("exit", resolve));
        ending.kill(signal);
        await ended;
      },
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.nodes.map((node) => node.stop("SIGKILL")));
    rmSync(this.#dir, { recursive: true, force: true });
  }
}

/** Makes the keys `k000000` and so on in a directory, over a few connections at once. */
export async function fill(url: string, directory: string, count: number): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 32 });
  let next = 0;
  const put = (name: string): Promise<void> =>
    new Promise((resolve, reject) => {
      const path = `/v2/keys${directory}/${name}?value=x`;
      const sent = request(`${url}${path}`, { method: "PUT", agent }, (answer) => {
        answer.resume().once("end", () => {
          if (answer.statusCode === 201) resolve();
          else reject(new Error(`${name}: ${answer.statusCode ?? 0}`));
        });
      });
      sent.once("error", reject).end();
    });
  const work = async (): Promise<void> => {
    while (next < count) await put(`k${String(next++).padStart(6, "0")}`);
  };
  await Promise.all(Array.from({ length: 32 }, work));
  agent.destroy();
}

export async function openBrowser(): Promise<Browser> {
  return chromium.launch({
    executablePath: CHROMIUM,
    headless: true,
    args: [
      ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"],
      ...["--disable-background-networking", "--disable-component-update", "--disable-sync"],
    ],
  });
}

/** Collects what the browser complains of: violations of the policy and errors of the script. */
export function complaints(page: Page): string[] {
  const found: string[] = [];
  page.on("console", (message) => {
    if (/Content Security Policy|Trusted/i.test(message.text())) found.push(message.text());
  });
  page.on("pageerror", (error) => found.push(error.message));
  return found;
}
