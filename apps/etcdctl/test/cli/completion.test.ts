/** Completion, from the words typed to what real shells make of the answer. */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { commands } from "../../src/commands.ts";
import { bundledProgram, runInside } from "../support/run.ts";
import { ScriptedServer } from "../support/scripted-server.ts";

let server: ScriptedServer;
before(async () => {
  server = await ScriptedServer.listen();
});
after(() => server.close());

/** The proposals for the last of the words, and the closing line. */
async function proposed(...words: string[]): Promise<{ texts: string[]; last: string }> {
  const { exit, stdout, stderr } = await runInside(["__complete", ...words], {
    env: { ETCDCTL_ENDPOINTS: server.url },
  });
  assert.equal(exit, 0);
  assert.equal(stderr, "");
  const lines = stdout.split("\n").slice(0, -1);
  const last = lines.pop() ?? "";
  return { texts: lines.map((line) => line.slice(0, line.indexOf("\t"))), last };
}

describe("words that the program knows", () => {
  test("are commands, extra ones too", async () => {
    assert.deepEqual((await proposed("up")).texts, ["update", "updatedir"]);
    assert.deepEqual((await proposed("mo")).texts, ["move-leader"]);
    const all = (await proposed("")).texts;
    for (const { name } of commands) assert.ok(all.includes(name), name);
  });

  test("are a group's commands and a command's options", async () => {
    assert.deepEqual((await proposed("--debug", "member", "re")).texts, ["remove", "replace"]);
    assert.deepEqual((await proposed("ls", "/key", "--re")).texts, ["--recursive"]);
    assert.deepEqual((await proposed("member", "add", "--le")).texts, ["--learner"]);
    assert.deepEqual((await proposed("member", "nonsense", "re")).texts, []);
  });

  test("do not come after the value of an option that looks like a command", async () => {
    assert.deepEqual((await proposed("--endpoints", "get", "se")).texts, ["set", "setdir"]);
    assert.deepEqual((await proposed("--endpoints=get", "se")).texts, ["set", "setdir"]);
  });

  test("are the values of an option, as a word of their own or behind =", async () => {
    assert.deepEqual((await proposed("-o", "js")).texts, ["json"]);
    assert.deepEqual((await proposed("--output=e")).texts, ["--output=extended"]);
    assert.deepEqual(await proposed("--cert-file", "x"), { texts: [], last: ": files" });
    assert.deepEqual(await proposed("backup", "--data-dir=x"), {
      texts: [],
      last: ": directories",
    });
  });

  test("are no options after --", async () => {
    assert.deepEqual((await proposed("snapshot", "save", "--", "-")).last, ": files");
  });
});

describe("words that the cluster knows", () => {
  const node = (key: string, more: object = {}): object => ({
    key,
    createdIndex: 1,
    modifiedIndex: 1,
    ...more,
  });
  const listing = (path: string, ...nodes: object[]): void => {
    server.begin([
      {
        method: "GET",
        path: `/v2/keys${path}`,
        body: JSON.stringify({ action: "get", node: { ...node(path), dir: true, nodes } }),
      },
    ]);
  };

  test("are keys below what was typed, directories with a slash", async () => {
    listing("/app/", node("/app/one", { value: "1" }), node("/app/other", { dir: true }));
    assert.deepEqual(await proposed("get", "/app/o"), {
      texts: ["/app/one", "/app/other/"],
      last: ": open",
    });
    listing("/app/", node("/app/one", { value: "1" }), node("/app/other", { dir: true }));
    assert.deepEqual((await proposed("ls", "/app/")).texts, ["/app/other/"]);
  });

  test("are members with their names, users and roles", async () => {
    const members = [{ id: "a1b2", name: "one", peerURLs: ["http://x:1"], clientURLs: [] }];
    const body = JSON.stringify({ members });
    server.begin([{ method: "GET", path: "/v2/members", body }]);
    assert.deepEqual((await proposed("member", "remove", "")).texts, ["a1b2"]);
    server.begin([
      { method: "GET", path: "/v2/auth/roles", body: JSON.stringify({ roles: [{ role: "r" }] }) },
    ]);
    assert.deepEqual((await proposed("user", "grant", "--roles", "")).texts, ["r"]);
  });

  test("are none where nobody answers or the password is not known", async () => {
    assert.deepEqual(await proposed("--endpoints", "http://127.0.0.1:1", "get", "/"), {
      texts: [],
      last: ":",
    });
    assert.deepEqual((await proposed("-u", "root", "get", "/")).texts, []);
  });
});

test("another shell is refused with the list of those there are", async () => {
  assert.deepEqual(await runInside(["completion", "tcsh"]), {
    exit: 1,
    stdout: "",
    stderr: "Provide a single shell: bash, zsh, fish\n",
  });
});

function isThere(shell: string): boolean {
  return spawnSync(shell, ["-c", "true"]).status === 0;
}

describe("real shells", () => {
  let directory: string;
  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "etcdctl-completion-"));
    mkdirSync(join(directory, "bin"));
    const program = join(directory, "bin", "etcdctl");
    const words = `'${process.execPath}' '${bundledProgram()}'`;
    writeFileSync(program, `#!/bin/sh\nexec ${words} "$@"\n`);
    chmodSync(program, 0o755);
    for (const [shell, name] of [
      ["bash", "etcdctl.bash"],
      ["zsh", "_etcdctl"],
      ["fish", "etcdctl.fish"],
    ] as const) {
      writeFileSync(join(directory, name), (await runInside(["completion", shell])).stdout);
    }
    writeFileSync(join(directory, "a file"), "");
  });
  after(() => {
    rmSync(directory, { recursive: true, force: true });
  });

  function run(shell: string, ...words: string[]): string[] {
    const PATH = `${join(directory, "bin")}:${process.env["PATH"] ?? ""}`;
    const env = { PATH, HOME: directory, TERM: "dumb", LC_ALL: "C.UTF-8" };
    const options = { env, cwd: directory, encoding: "utf8", timeout: 120_000 } as const;
    return execFileSync(shell, words, options)
      .split("\n")
      .filter((line) => line !== "");
  }

  /** What bash offers; `words` are the line as bash cuts it, without the program's name. */
  function inBash(line: string, ...words: string[]): string[] {
    const script = `source ./etcdctl.bash; compopt() { :; }; COMP_LINE=$1; COMP_POINT=\${#1}; shift
COMP_WORDS=(etcdctl "$@"); COMP_CWORD=$#; __etcdctl_complete; printf '%s\\n' "\${COMPREPLY[@]}"`;
    return run("bash", "-c", script, "bash", `etcdctl ${line}`, ...words);
  }

  test("bash offers words, quotes them, and replaces what is behind its own cuts", () => {
    assert.deepEqual(inBash("clu", "clu"), ["cluster-health"]);
    assert.deepEqual(inBash("--output=s", "--output", "=", "s"), ["simple"]);
    assert.deepEqual(inBash("-o ", "-o", ""), ["simple", "extended", "json"]);
    assert.deepEqual(inBash("snapshot save a", "snapshot", "save", "a"), ["a file"]);
  });

  test("fish offers words with what they mean, and file names only where one is due", (t) => {
    if (!isThere("fish")) {
      t.diagnostic("fish is not installed: its script was not run");
      return;
    }
    const inFish = (line: string): string[] =>
      run("fish", "--no-config", "-c", "source ./etcdctl.fish; complete -C $argv[1]", line);
    assert.deepEqual(inFish("etcdctl clu"), [
      "cluster-health\tcheck the health of the etcd cluster",
    ]);
    assert.deepEqual(inFish("etcdctl a"), ["auth\toverall auth controls"]);
    assert.deepEqual(inFish("etcdctl snapshot save a"), ["a file"]);
    assert.deepEqual(inFish("etcdctl --output=s"), ["--output=simple"]);
  });

  test("zsh completes at the first key, from a directory of $fpath", (t) => {
    if (!isThere("zsh")) {
      t.diagnostic("zsh is not installed: its script was not run");
      return;
    }
    const setup = `PS1='ready '
fpath=(${directory} $fpath); autoload -Uz compinit; compinit -u -D
show() { print -r -- "$BUFFER" > ${directory}/line; exit; }; zle -N show; bindkey "^Y" show\n`;
    writeFileSync(join(directory, ".zshrc"), setup);
    // One zsh types at another one, on a terminal; what that has on its line ends in a file.
    const driver = `zmodload zsh/zpty
zpty shell "ZDOTDIR=${directory} zsh -i"
zpty -r shell out '*ready*'
zpty -w -n shell $'etcdctl clu\t\x19'
while zpty -r shell out; do :; done`;
    run("zsh", "-f", "-c", driver);
    assert.equal(readFileSync(join(directory, "line"), "utf8"), "etcdctl cluster-health \n");
  });
});
