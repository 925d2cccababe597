/** A real etcd 3 as a process, read by its own etcdctl: the independent judge of what was migrated. */
import { execFileSync, spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { freePort, until } from "@etcd2/test-support";

const SERVER = process.env["ETCD_V3_SERVER"] ?? "/usr/bin/etcd";
const CLIENT = process.env["ETCD_V3_CLIENT"] ?? "/usr/bin/etcdctl";

function isVersion3(program: string, args: readonly string[]): boolean {
  try {
    const env = { ...process.env, ETCDCTL_API: "3" };
    return /\b3\.\d/.test(execFileSync(program, args, { encoding: "utf8", env }));
  } catch {
    return false;
  }
}

/** Why tests with the real program are skipped; false when it is there. */
export const noV3: string | false =
  isVersion3(SERVER, ["--version"]) && isVersion3(CLIENT, ["version"])
    ? false
    : `no etcd 3 at ${SERVER} or no etcdctl at ${CLIENT}`;

export class V3Server {
  readonly url: string;
  readonly #directory: string;
  readonly #peer: string;
  #child: ChildProcess | undefined;

  private constructor(directory: string, clientPort: number, peerPort: number) {
    this.#directory = directory;
    this.url = `http://127.0.0.1:${clientPort}`;
    this.#peer = `http://127.0.0.1:${peerPort}`;
  }

  static async start(directory: string): Promise<V3Server> {
    const server = new V3Server(directory, await freePort(), await freePort());
    await server.start();
    return server;
  }

  async start(): Promise<void> {
    const { url } = this;
    const flags = [
      ...["--name", "m", "--data-dir", this.#directory, "--logger", "zap", "--log-level", "error"],
      ...["--listen-client-urls", url, "--advertise-client-urls", url],
      ...["--listen-peer-urls", this.#peer, "--initial-advertise-peer-urls", this.#peer],
      ...["--initial-cluster", `m=${this.#peer}`],
    ];
    this.#child = spawn(SERVER, flags, { stdio: "ignore" });
    const answers = async (): Promise<boolean> => {
      try {
        const response = await fetch(`${url}/health`);
        return (await response.text()).includes("true");
      } catch {
        return false;
      }
    };
    await until("the v3 server answers", answers, 60_000);
  }

  /** Ends it without a chance to tidy up. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (child === undefined || child.exitCode !== null || child.signalCode !== null) return;
    const closed = new Promise((resolve) => child.once("close", resolve));
    child.kill("SIGKILL");
    await closed;
  }

  /** Output of the real etcdctl. */
  ctl(...args: readonly string[]): string {
    const env = { ...process.env, ETCDCTL_API: "3" };
    return execFileSync(CLIENT, ["--endpoints", this.url, ...args], { encoding: "utf8", env });
  }

  /** Values by their keys, both as byte strings, and whether they have leases. */
  rows(prefix: string): ReadonlyMap<string, { readonly value: string; readonly leased: boolean }> {
    const answer = JSON.parse(this.ctl("get", "--prefix", prefix, "-w", "json")) as {
      readonly kvs?: readonly { key: string; value?: string; lease?: number }[];
    };
    const latin1 = (text: string): string => Buffer.from(text, "base64").toString("latin1");
    return new Map(
      (answer.kvs ?? []).map(({ key, value = "", lease = 0 }) => [
        latin1(key),
        { value: latin1(value), leased: lease !== 0 },
      ]),
    );
  }

  value(key: string): string | undefined {
    return this.rows(key).get(key)?.value;
  }
}
