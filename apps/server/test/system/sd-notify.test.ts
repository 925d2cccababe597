/** What the service manager is told of a member. */
import assert from "node:assert/strict";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { until } from "@etcd2/test-support";
import { createTextLogging } from "../../src/logging/logger.ts";
import { ServiceNotifier } from "../../src/system/sd-notify.ts";
import type { ServiceNotifierOptions } from "../../src/system/sd-notify.ts";
import { NotifySocket } from "../notify-socket.ts";

const root = mkdtempSync(join(tmpdir(), "etcd2-sd-notify-"));
after(() => {
  rmSync(root, { recursive: true });
});

describe("the notifier", () => {
  const notifier = (env: Record<string, string>, more: Partial<ServiceNotifierOptions> = {}) => {
    const lines: string[] = [];
    const sink = {
      write: (line: string) => lines.push(line),
      flush: () => undefined,
      close: () => undefined,
    };
    const logging = createTextLogging({ sink, format: "text", useColor: false, level: "info" });
    const log = logging.logger("etcdmain");
    const made = new ServiceNotifier({ env, log, systemdDirectory: root, ...more });
    return { made, lines: () => lines.map((line) => line.slice(27)) };
  };

  /** A runtime that cannot send a datagram itself. */
  const openSender = () => Promise.resolve(undefined);

  for (const [kind, address] of [
    ["a path", () => join(root, "notify")],
    ["an abstract name", () => `@etcd2-notify-${process.pid}`],
  ] as const) {
    it(`tells systemd from this very process, at ${kind}`, async () => {
      const socket = await NotifySocket.listen(address());
      const { made, lines } = notifier({ NOTIFY_SOCKET: address() }, { command: "false" });
      await made.ready();
      await made.stopping();
      await until("both arrived", () => socket.received.length === 2);
      await socket.close();
      assert.deepEqual(socket.received, [
        { pid: process.pid, text: "READY=1" },
        { pid: process.pid, text: "STOPPING=1" },
      ]);
      assert.deepEqual(lines(), []);
    });
  }

  it("says when nobody is at the socket, and when its path is too long for one", async () => {
    const nobody = notifier({ NOTIFY_SOCKET: join(root, "nobody") });
    await nobody.made.ready();
    assert.match(
      nobody.lines().join(""),
      /^E \| etcdmain: failed to notify systemd for readiness: send to .*nobody: ENOENT: .*\n$/,
    );
    const long = notifier({ NOTIFY_SOCKET: `/${"n".repeat(108)}` });
    await long.made.ready();
    assert.match(long.lines().join(""), /n is too long for a socket\n$/);
  });

  it("leaves addresses of other kinds to systemd's helper", async () => {
    const heard = join(root, "vsock");
    const command = join(root, "vsock-helper");
    writeFileSync(command, `#!/bin/sh\necho "$NOTIFY_SOCKET $*" >> ${heard}\n`);
    chmodSync(command, 0o755);
    const { made } = notifier({ NOTIFY_SOCKET: "vsock:2:9999" }, { command });
    await made.ready();
    assert.equal(readFileSync(heard, "utf8"), "vsock:2:9999 READY=1\n");
  });

  it("tells systemd by its helper where the runtime cannot send", async () => {
    const heard = join(root, "heard");
    const command = join(root, "helper");
    writeFileSync(command, `#!/bin/sh\necho "$NOTIFY_SOCKET $*" >> ${heard}\n`);
    chmodSync(command, 0o755);
    const { made, lines } = notifier({ NOTIFY_SOCKET: "/run/x" }, { command, openSender });
    await made.ready();
    await made.stopping();
    assert.equal(readFileSync(heard, "utf8"), "/run/x READY=1\n/run/x STOPPING=1\n");
    assert.deepEqual(lines(), []);
  });

  it("complains under systemd without a socket, and goes on", async () => {
    const { made, lines } = notifier({});
    await made.ready();
    await made.stopping();
    assert.deepEqual(lines(), [
      "E | etcdmain: failed to notify systemd for readiness: No socket\n",
      "E | etcdmain: forgot to set Type=notify in systemd service file?\n",
    ]);
  });

  it("says when the helper is missing or fails", async () => {
    const missing = notifier(
      { NOTIFY_SOCKET: "/run/x" },
      { command: join(root, "nowhere"), openSender },
    );
    await missing.made.ready();
    assert.match(
      missing.lines().join(""),
      /^E \| etcdmain: failed to notify systemd for readiness: .*ENOENT\n$/,
    );
    const failing = notifier({ NOTIFY_SOCKET: "/run/x" }, { command: "false", openSender });
    await failing.made.ready();
    assert.deepEqual(failing.lines(), [
      "E | etcdmain: failed to notify systemd for readiness: false ended with 1\n",
    ]);
  });

  it("is silent where nobody waits for it", async () => {
    const { made, lines } = notifier(
      {},
      { systemdDirectory: join(root, "nowhere"), command: "false" },
    );
    await made.ready();
    await made.stopping();
    assert.deepEqual(lines(), []);
  });
});
