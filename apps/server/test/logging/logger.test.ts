import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { closeSync, mkdtempSync, openSync, readFileSync, readSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, it } from "node:test";

import { createLogging, wantsColor } from "../../src/logging/logger.ts";
import type { LogSink } from "../../src/logging/log-sink.ts";
import { openLogSink } from "../../src/logging/log-sink.ts";

function memorySink(): LogSink & { text: string } {
  return {
    text: "",
    write(text: string) {
      this.text += text;
    },
    flush: () => undefined,
    close: () => undefined,
  };
}

// A moment whose local text does not depend on the zone the test runs in.
const moment = new Date(2015, 0, 2, 15, 4, 5, 123).getTime() * 1000 + 456;

async function logging(format: "text" | "json", useColor = false) {
  const sink = memorySink();
  const made = await createLogging({ sink, format, useColor, level: "info", now: () => moment });
  return { sink, logging: made };
}

describe("text lines", () => {
  it("have the format of etcd 2.3.8", async () => {
    const { sink, logging: log } = await logging("text");
    log.logger("etcdserver").info("name = default", { name: "default" });
    log.logger("raft").warning("slow");
    assert.equal(
      sink.text,
      "2015-01-02 15:04:05.123456 I | etcdserver: name = default\n" +
        "2015-01-02 15:04:05.123456 W | raft: slow\n",
    );
  });

  it("carry the letter of each level", async () => {
    const { sink, logging: log } = await logging("text");
    log.setLevel("TRACE");
    const logger = log.logger("p");
    for (const level of [
      "critical",
      "error",
      "warning",
      "notice",
      "info",
      "debug",
      "trace",
    ] as const) {
      logger[level]("x");
      logger.log(level, "y");
    }
    assert.equal(sink.text.replace(/.{26} (.) \| p: .\n/g, "$1"), "CCEEWWNNIIDDTT");
  });

  it("cannot be forged by what a client sends", async () => {
    const { sink, logging: log } = await logging("text");
    log.logger("p").info("key /a\n2015 C | p: fake\u001b[31m\u0000");
    assert.equal(
      sink.text,
      "2015-01-02 15:04:05.123456 I | p: key /a\\n2015 C | p: fake\\x1b[31m\\x00\n",
    );
  });

  it("are coloured only on terminals and never against NO_COLOR", async () => {
    assert.equal(wantsColor(true, {}), true);
    assert.equal(wantsColor(false, {}), false);
    assert.equal(wantsColor(true, { NO_COLOR: "1" }), false);
    assert.equal(wantsColor(true, { TERM: "dumb" }), false);
    const { sink, logging: log } = await logging("text", true);
    log.logger("p").error("x");
    assert.equal(sink.text, "2015-01-02 15:04:05.123456 \u001b[31mE\u001b[0m | p: x\n");
  });
});

describe("JSON lines", () => {
  it("hold time, level, package, message and fields", async () => {
    const { sink, logging: log } = await logging("json");
    log.logger("etcdserver").notice("compacted raft log at 5", { raftIndex: 5 });
    log.logger("etcdserver").debug("not shown");
    assert.deepEqual(JSON.parse(sink.text), {
      level: "notice",
      time: new Date(moment / 1000).toISOString(),
      logger: "etcdserver",
      raftIndex: 5,
      msg: "compacted raft log at 5",
    });
  });
});

describe("levels", () => {
  it("can be set for all packages while running", async () => {
    const { logging: log } = await logging("text");
    const early = log.logger("early");
    assert.equal(early.isOn("debug"), false);
    for (const name of ["DEBUG", "D", "4"]) {
      assert.equal(log.setLevel("ERROR"), true);
      assert.equal(early.isOn("warning"), false);
      assert.equal(log.setLevel(name), true);
      assert.equal(early.isOn("debug"), true);
      assert.equal(log.logger(`late-${name}`).isOn("debug"), true);
    }
    for (const bad of ["debug", "LOUD", "", "6", "toString"])
      assert.equal(log.setLevel(bad), false);
    assert.equal(early.isOn("debug"), true);
  });

  it("can differ by package", async () => {
    const { logging: log } = await logging("text");
    assert.equal(log.setPackageLevels("etcdmain=CRITICAL,etcdserver=DEBUG"), undefined);
    assert.equal(log.logger("etcdmain").isOn("error"), false);
    assert.equal(log.logger("etcdserver").isOn("debug"), true);
    assert.equal(log.logger("raft").isOn("info"), true);
    assert.equal(log.setPackageLevels("*=WARNING"), undefined);
    assert.equal(log.logger("raft").isOn("info"), false);
    assert.equal(log.setPackageLevels("raft"), "oddly structured `pkg=level` option: raft");
    assert.equal(log.setPackageLevels("raft=LOUD"), "couldn't parse log level LOUD");
  });
});

describe("the sink", () => {
  it("appends to a file shared with others without moving their place", () => {
    const dir = mkdtempSync(join(tmpdir(), "sink-"));
    const path = join(dir, "log");
    const fd = openSync(path, "w");
    const sink = openLogSink(fd);
    sink.write("one\n");
    execFileSync("sh", ["-c", "echo two >&3"], { stdio: ["ignore", "ignore", "inherit", fd] });
    sink.write("three\n");
    sink.close();
    sink.close();
    assert.equal(readFileSync(path, "utf8"), "one\ntwo\nthree\n");
    closeSync(fd);
    rmSync(dir, { recursive: true });
  });

  it("neither waits for a pipe nobody reads, nor loses count of what it drops", () => {
    const dir = mkdtempSync(join(tmpdir(), "sink-"));
    const path = join(dir, "fifo");
    execFileSync("mkfifo", [path]);
    const fd = openSync(path, "r+");
    const sink = openLogSink(fd);
    const line = `${"x".repeat(1023)}\n`;
    for (let n = 0; n < 3000; n++) sink.write(line);
    let read = "";
    const buffer = Buffer.alloc(65536);
    // What the pipe holds is read, then flushed again, until the note about lost lines arrives.
    while (!read.endsWith("too slow]\n")) {
      read += buffer.toString("latin1", 0, readSync(fd, buffer));
      sink.flush();
    }
    const kept = read.split(line).length - 1;
    const dropped = /\[(\d+) log lines were dropped/.exec(read)?.[1];
    assert.equal(kept + Number(dropped), 3000);
    assert.ok(kept >= 1024);
    sink.close();
    closeSync(fd);
    rmSync(dir, { recursive: true });
  });

  it("goes on when the reader of its pipe or socket is gone", async () => {
    const script = `
      const { openLogSink } = await import(${JSON.stringify(new URL("../../src/logging/log-sink.ts", import.meta.url).href)});
      const sink = openLogSink(2);
      process.stdin.once("data", () => {
        for (let n = 0; n < 10; n++) sink.write("x".repeat(100000) + "\\n");
        setImmediate(() => { sink.write("more\\n"); sink.flush(); setImmediate(() => process.exit(7)); });
      });
      console.log("ready");
    `;
    const status = (command: string, args: readonly string[]) => {
      const child = spawn(command, args, { stdio: ["pipe", "pipe", "pipe"] });
      child.stderr.destroy();
      child.stdout.once("data", () => {
        child.stdin.end("go");
      });
      return new Promise((resolve) => child.on("exit", resolve));
    };
    const node = [process.execPath, "--input-type=module", "-e", script];
    assert.equal(await status(process.execPath, node.slice(1)), 7);
    // Through a shell pipeline stderr is a pipe, not a socket.
    const quoted = node.map((part) => `'${part.replaceAll("'", `'\\''`)}'`).join(" ");
    const piped = `{ ${quoted} 2>&1 1>&3 | true; exit "\${PIPESTATUS[0]}"; } 3>&1`;
    assert.equal(await status("bash", ["-c", piped]), 7);
  });
});
