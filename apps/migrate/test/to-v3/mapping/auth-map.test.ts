import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { KeySpace } from "@etcd2/v3";
import { SeededRandom, seedOfRun } from "@etcd2/test-support";
import { mapAuth } from "../../../src/to-v3/mapping/auth-map.ts";
import type { V2Auth, V3Auth } from "../../../src/to-v3/mapping/auth-map.ts";
import { PathMap } from "../../../src/to-v3/mapping/path-map.ts";
import type { PathMapOptions } from "../../../src/to-v3/mapping/path-map.ts";
import type { DirectoryMode } from "../../../src/to-v3/mapping/rows.ts";

const seed = seedOfRun();

function map(
  auth: Partial<V2Auth>,
  paths: PathMapOptions = {},
  mode: DirectoryMode = "none",
): V3Auth {
  return mapAuth(
    { enabled: true, users: [], roles: [], ...auth },
    { space: new KeySpace("/p"), paths: new PathMap(paths), directories: mode },
  );
}

function permissions(
  read: readonly string[],
  write: readonly string[],
  paths: PathMapOptions = {},
): readonly (readonly string[])[] {
  const { roles } = map({ roles: [{ name: "r", read, write }] }, paths);
  return (roles[0]?.permissions ?? []).map(({ access, key, rangeEnd }) => [access, key, rangeEnd]);
}

describe("roles in v3", () => {
  it("have one key for an exact pattern and a range for a final asterisk", () => {
    assert.deepEqual(permissions(["/a", "/b/*"], []), [
      ["read", "/p/a", ""],
      ["read", "/p/b/", "/p/b0"],
    ]);
  });

  it("read and write what both lists name", () => {
    assert.deepEqual(permissions(["/a*"], ["/a*", "/b"]), [
      ["readwrite", "/p/a", "/p/b"],
      ["write", "/p/b", ""],
    ]);
  });

  it("take an asterisk alone for everything under the prefix, and nothing beside it", () => {
    assert.deepEqual(permissions(["*"], []), [["read", "/p/", "/p0"]]);
    assert.deepEqual(permissions(["/*"], []), [["read", "/p/", "/p0"]]);
  });

  it("follow the names that paths get", () => {
    assert.deepEqual(permissions(["/apps/web*"], [], { strip: "/apps" }), [
      ["read", "/p/web", "/p/wec"],
    ]);
    assert.deepEqual(permissions(["/a*"], [], { map: ["/a/b=/x"] }), [
      ["read", "/p/a", "/p/b"],
      ["read", "/p/x", ""],
      ["read", "/p/x/", "/p/x0"],
    ]);
  });

  it("say so when a pattern names nothing that is carried over", () => {
    const { losses, roles } = map(
      { roles: [{ name: "r", read: ["/other", "web*"], write: [] }] },
      { only: ["/apps"] },
    );
    assert.equal(losses.length, 2);
    assert.deepEqual(roles[0]?.permissions, []);
  });

  it("say so when a pattern reaches what another rule has put there", () => {
    const role = { name: "r", read: ["/a*"], write: [] };
    assert.match(map({ roles: [role] }, { map: ["/b=/ax"] }).losses.join(), /also reaches .*\/b/);
    assert.deepEqual(map({ roles: [role] }, { map: ["/a=/b"] }).losses, []);
  });

  it("reach the records too where a v2 gateway is to serve them", () => {
    const { roles } = map({ roles: [{ name: "r", read: [], write: ["/a"] }] }, {}, "marker");
    const found = (roles[0]?.permissions ?? []).map(({ access, key }) => `${access} ${key}`);
    assert.ok(found.includes("write /p/a"));
    assert.ok(found.includes("write /p.etcd2/d/a"));
    assert.ok(found.includes("read /p.etcd2/"));
    assert.ok(found.includes("readwrite /p.etcd2/e/"));
  });

  it(`allow exactly the paths that the patterns allow (SEED=${seed})`, () => {
    const random = new SeededRandom(seed);
    const name = (depth: number): string =>
      Array.from({ length: 1 + random.below(depth) }, () =>
        ["/a", "/b", "/ab", "/a.b"].at(random.below(4)),
      ).join("");
    for (let round = 0; round < 400; round++) {
      const rules = random.below(2) === 0 ? [] : [`${name(2)}=${name(2)}`];
      const paths = { map: rules, only: random.below(3) === 0 ? [name(2)] : [] };
      const pattern = name(3) + (random.below(3) === 0 ? "" : "*");
      const granted = permissions([pattern], [], paths);
      const names = new PathMap(paths);
      for (let i = 0; i < 40; i++) {
        const path = name(4);
        if (!names.takes(path) || names.rivals(path).length > 0) continue;
        const start = pattern.slice(0, -1);
        const isAllowed = pattern.endsWith("*") ? path.startsWith(start) : path === pattern;
        const key = `/p${names.target(path)}`;
        const isGranted = granted.some(([, from = "", end = ""]) =>
          end === "" ? key === from : key >= from && key < end,
        );
        const text = `${pattern} for ${path} as ${key}, ${JSON.stringify(paths)}`;
        assert.equal(isGranted, isAllowed, text);
      }
    }
  });
});

describe("users in v3", () => {
  it("keep their roles and need passwords; guest has no counterpart", () => {
    const { users, passwordsToSet, losses, roles } = map({
      users: [
        { name: "root", roles: ["root"] },
        { name: "u", roles: ["r", "gone"] },
      ],
      roles: [
        { name: "guest", read: ["/*"], write: [] },
        { name: "r", read: [], write: [] },
      ],
    });
    assert.deepEqual(users, [
      { name: "root", roles: ["root"] },
      { name: "u", roles: ["r"] },
    ]);
    assert.deepEqual(passwordsToSet, ["root", "u"]);
    assert.deepEqual(
      roles.map(({ name }) => name),
      ["r", "root"],
    );
    assert.match(losses.join("\n"), /guest has no counterpart/);
    assert.match(losses.join("\n"), /user u has role gone, which does not exist/);
  });
});
