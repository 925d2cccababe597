/**
 * Members in network namespaces of their own, so that they can be cut off from each other while
 * clients still reach them: the case where a stale leader could answer. Every member has two links,
 * one to the bridge of the peers and one to the clients on this machine. Needs root, `ip` and `iptables`.
 */
import { execFileSync } from "node:child_process";
import { onInterrupt } from "./interrupt.ts";
import type { Place } from "./member-process.ts";

/** Addresses from the block for benchmarks (RFC 2544): no real network has them. */
const PEERS = "198.18.77";
const CLIENTS = "198.18.78";
const HOST = 254;

function ip(...words: readonly string[]): void {
  execFileSync("ip", words, { stdio: ["ignore", "ignore", "pipe"] });
}

/** @throws Error in one line for a program that is missing or may not do what it is needed for. */
function checkPrograms(): void {
  for (const [program, ...words] of [
    ["ip", "netns", "list"],
    ["iptables", "--version"],
  ] as const) {
    try {
      execFileSync(program, words, { stdio: "ignore" });
    } catch (cause) {
      throw new Error(`partitions need ${program} and root: ${String(cause)}`, { cause });
    }
  }
}

export class Network {
  readonly #tag = `e${String(process.pid)}`;
  readonly #size: number;
  readonly #forget = onInterrupt(() => {
    this.close();
  });

  private constructor(size: number) {
    this.#size = size;
  }

  /** @throws Error without the programs, or the privilege to make namespaces. */
  static create(size: number): Network {
    checkPrograms();
    const network = new Network(size);
    try {
      network.#addBridge("p", `${PEERS}.${String(HOST)}`);
      network.#addBridge("c", `${CLIENTS}.${String(HOST)}`);
      for (let at = 1; at <= size; at += 1) network.#addMember(at);
    } catch (error) {
      network.close();
      throw error;
    }
    return network;
  }

  /** Where member `at` (from 1) lives. */
  place(at: number): Place {
    return {
      peerUrl: `http://${PEERS}.${String(at)}:2380`,
      clientUrl: `http://${CLIENTS}.${String(at)}:2379`,
      command: ["ip", "netns", "exec", this.#namespace(at)],
    };
  }

  /** Takes the member's link to the others down, or up again. Clients still reach it. */
  setPeerLink(at: number, state: "up" | "down"): void {
    ip("link", "set", this.#link("p", at), state);
  }

  /** Lets the member only speak, or only hear, or both again. */
  setOneWay(at: number, state: "deaf" | "mute" | "well"): void {
    const rules = (...words: readonly string[]): void => {
      const command = ["netns", "exec", this.#namespace(at), "iptables", ...words];
      execFileSync("ip", command, { stdio: ["ignore", "ignore", "pipe"] });
    };
    rules("-F");
    if (state === "deaf") rules("-A", "INPUT", "-i", "p0", "-j", "DROP");
    if (state === "mute") rules("-A", "OUTPUT", "-o", "p0", "-j", "DROP");
  }

  close(): void {
    this.#forget();
    const commands: (readonly string[])[] = [];
    for (let at = 1; at <= this.#size; at += 1) {
      // A namespace lives on unnamed while anything in it ends, and its links with it: they go by name.
      commands.push(["link", "del", this.#link("p", at)], ["link", "del", this.#link("c", at)]);
      commands.push(["netns", "del", this.#namespace(at)]);
    }
    commands.push(["link", "del", `${this.#tag}p`], ["link", "del", `${this.#tag}c`]);
    for (const command of commands) {
      try {
        ip(...command);
      } catch {
        // It was never made.
      }
    }
  }

  #namespace(at: number): string {
    return `${this.#tag}m${String(at)}`;
  }

  #link(net: "p" | "c", at: number): string {
    return `${this.#tag}${net}${String(at)}`;
  }

  #addBridge(net: "p" | "c", address: string): void {
    const name = `${this.#tag}${net}`;
    ip("link", "add", name, "type", "bridge");
    ip("addr", "add", `${address}/24`, "dev", name);
    ip("link", "set", name, "up");
  }

  #addMember(at: number): void {
    const space = this.#namespace(at);
    ip("netns", "add", space);
    ip("-n", space, "link", "set", "lo", "up");
    for (const [net, prefix] of [
      ["p", PEERS],
      ["c", CLIENTS],
    ] as const) {
      const outer = this.#link(net, at);
      const inner = `${net}0`;
      ip("link", "add", outer, "type", "veth", "peer", "name", inner, "netns", space);
      ip("link", "set", outer, "master", `${this.#tag}${net}`);
      ip("link", "set", outer, "up");
      ip("-n", space, "addr", "add", `${prefix}.${String(at)}/24`, "dev", inner);
      ip("-n", space, "link", "set", inner, "up");
    }
  }
}
