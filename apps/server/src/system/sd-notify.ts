/**
 * Owns telling systemd that the server is ready or stopping. systemd takes such messages from the
 * main process of a service alone (NotifyAccess=main), so this process sends them itself. Where it
 * cannot, systemd's own helper program is run, whose messages need NotifyAccess=all. Nothing here
 * ever fails the server.
 */
import { spawn } from "node:child_process";
import { statSync } from "node:fs";

import type { Logger } from "@etcd2/observability";
import { messageOf } from "../base/message-of.ts";
import type { DatagramSender } from "./unix-datagram.ts";

export interface ServiceNotifierOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  /** Where systemd shows that it runs the machine; replaced in tests. */
  readonly systemdDirectory?: string;
  /** The helper; replaced in tests. */
  readonly command?: string;
  /** How this process sends a datagram itself, undefined where it cannot; replaced in tests. */
  readonly openSender?: () => Promise<DatagramSender | undefined>;
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

async function ownSender(): Promise<DatagramSender | undefined> {
  const { openDatagramSender } = await import("./unix-datagram.ts");
  return openDatagramSender();
}

/** systemd's view of this process. */
export class ServiceNotifier {
  readonly #options: ServiceNotifierOptions;
  readonly #isManaged: boolean;
  /** Opened once: the last message must not wait for code to be loaded. */
  #sender: Promise<DatagramSender | undefined> | undefined;

  constructor(options: ServiceNotifierOptions) {
    this.#options = options;
    // Container engines pass a socket on without the rest of systemd.
    this.#isManaged =
      this.#socket !== "" || isDirectory(options.systemdDirectory ?? "/run/systemd/system");
  }

  /** The listeners are open and the server has started. */
  async ready(): Promise<void> {
    if (!this.#isManaged) return;
    const problem = await this.#send("READY=1");
    if (problem === undefined) return;
    const { log } = this.#options;
    log.error(`failed to notify systemd for readiness: ${problem}`);
    if (this.#socket === "") log.error("forgot to set Type=notify in systemd service file?");
  }

  /** The server has begun to stop. */
  async stopping(): Promise<void> {
    if (this.#socket !== "") await this.#send("STOPPING=1");
  }

  get #socket(): string {
    return this.#options.env["NOTIFY_SOCKET"] ?? "";
  }

  /** Why the message could not be sent; undefined when it was. */
  async #send(message: string): Promise<string | undefined> {
    const socket = this.#socket;
    if (socket === "") return "No socket";
    // Other kinds of address, such as vsock, are left to the helper.
    const isPath = socket.startsWith("/") || socket.startsWith("@");
    const send = isPath
      ? await (this.#sender ??= (this.#options.openSender ?? ownSender)())
      : undefined;
    if (send === undefined) return this.#sendByHelper(message);
    try {
      await send(socket, message);
      return undefined;
    } catch (error) {
      return messageOf(error);
    }
  }

  #sendByHelper(message: string): Promise<string | undefined> {
    const command = this.#options.command ?? "systemd-notify";
    const child = spawn(command, [message], {
      env: { ...this.#options.env },
      stdio: "ignore",
      timeout: 5000,
    });
    return new Promise((resolve) => {
      child.once("error", (error) => {
        resolve(`${command}: ${error.message}`);
      });
      child.once("exit", (status, signal) => {
        resolve(status === 0 ? undefined : `${command} ended with ${String(status ?? signal)}`);
      });
    });
  }
}
