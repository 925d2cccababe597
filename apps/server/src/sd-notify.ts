/**
 * Owns telling systemd that the server is ready or stopping. The runtime has no datagram sockets
 * of the kind systemd listens on, so its own helper program is run; the unit needs
 * NotifyAccess=all. Nothing here ever fails the server.
 */
import { spawn } from "node:child_process";
import { statSync } from "node:fs";

import type { Logger } from "./logging/logger.ts";

export interface ServiceNotifierOptions {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly log: Logger;
  /** Where systemd shows that it runs the machine; replaced in tests. */
  readonly systemdDirectory?: string;
  /** The helper; replaced in tests. */
  readonly command?: string;
}

function isDirectory(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}

/** systemd's view of this process. */
export class ServiceNotifier {
  readonly #options: ServiceNotifierOptions;
  readonly #isManaged: boolean;

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
  #send(message: string): Promise<string | undefined> {
    if (this.#socket === "") return Promise.resolve("No socket");
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
