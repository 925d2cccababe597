/** The launchers of the programs, as they are installed. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { etcdctl, program } from "../single-member/server-process.ts";

const root = mkdtempSync(join(tmpdir(), "etcd2-launchers-"));
after(() => {
  rmSync(root, { recursive: true });
});

describe("the launchers", () => {
  it("need nothing on PATH, and are found through links", () => {
    const link = join(root, "link");
    for (const launcher of [program, etcdctl]) {
      symlinkSync(launcher, link);
      const text = execFileSync(link, ["--version"], { encoding: "utf8", env: { PATH: root } });
      assert.match(text, /2\.3\.8/);
      rmSync(link);
    }
  });
});
