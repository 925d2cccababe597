import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, it } from "node:test";
import { formatId } from "@etcd2/member-dir";
import { MigrateError } from "../src/errors.ts";
import { countV3Keys } from "../src/etcd3/count-keys.ts";
import type { ReplayResult } from "../src/sources/source.ts";
import type { Expected } from "./support/fixtures.ts";
import { expectedKeys, expectedOf, fixtureNames, UnpackedFixture } from "./support/fixtures.ts";
import { hashTree } from "./support/hash-tree.ts";
import { replayDirectory } from "./support/replay-directory.ts";

/** The index before a damaged fixture's server restarted, which publishes it anew. */
function expectedIndex(expected: Expected): number | undefined {
  const is04 = expected.produced_by.startsWith("etcd 0.");
  if (is04) return (expected.source_after_restart ?? expected.source)?.etcd_index;
  const index = expected.etcd_index ?? 0;
  return expected.before_damage === undefined ? index : index - 1;
}

/** What our own view of members is held to; 0.4's client URLs were replaced by the new server. */
function membersOf(members: ReplayResult["members"], withClients: boolean): readonly unknown[] {
  return members
    .map((member) => ({
      id: formatId(member.id),
      name: member.name,
      peerURLs: member.peerUrls,
      ...(withClients ? { clientURLs: member.clientUrls } : {}),
    }))
    .sort((a, b) => (a.id < b.id ? -1 : 1));
}

const REFUSED: Readonly<Record<string, RegExp>> = {
  "0.4.9-standby": /standby/,
  "2.3.8-corrupt": /offset 7594: the record's checksum does not match/,
};

describe("a recorded data directory", () => {
  for (const name of fixtureNames()) {
    const refusal = REFUSED[name];
    if (refusal !== undefined) {
      it(`${name} is refused with a reason`, async () => {
        using fixture = new UnpackedFixture(name);
        await assert.rejects(
          replayDirectory(fixture.directory, { name: expectedOf(name).member_name }),
          (error: unknown) => {
            assert.ok(error instanceof MigrateError);
            assert.match(error.describe(), refusal);
            return true;
          },
        );
      });
      continue;
    }
    it(`${name} replays to exactly what the old server showed`, async () => {
      using fixture = new UnpackedFixture(name);
      const expected = expectedOf(name);
      const before = hashTree(fixture.directory);
      const replayed = await replayDirectory(fixture.directory, { name: expected.member_name });
      const wanted = expectedKeys(expected);
      assert.ok(wanted.size > 10);
      assert.deepEqual(Object.fromEntries(replayed.keys), Object.fromEntries(wanted));
      assert.equal(replayed.etcdIndex, expectedIndex(expected));
      const is04 = expected.produced_by.startsWith("etcd 0.");
      if (expected.members !== undefined) {
        const shown = expected.members.map(({ id, name: member, peerURLs, clientURLs }) => ({
          id,
          name: member,
          peerURLs,
          ...(is04 ? {} : { clientURLs }),
        }));
        assert.deepEqual(membersOf(replayed.result.members, !is04), shown);
        assert.equal(formatId(replayed.result.clusterId), expected.cluster_id);
      }
      const own = replayed.result.members.find(({ id }) => id === replayed.result.memberId);
      assert.equal(own?.name, expected.member_name);
      // All events since the first are there: no fixture is older than its history.
      assert.equal(replayed.historyFirstIndex, 1);
      assert.equal(hashTree(fixture.directory), before, "the source was changed");
    });
  }

  it("keeps users, roles and the switch of auth", async () => {
    using fixture = new UnpackedFixture("2.3.8-auth");
    const { others } = await replayDirectory(fixture.directory);
    const authPaths = [...others.keys()];
    assert.ok(authPaths.includes("/2/enabled"));
    assert.ok(authPaths.includes("/2/users/root"));
    assert.ok(authPaths.some((path) => path.startsWith("/2/roles/")));
  });

  it("tells of a torn tail and of a damaged snapshot", async () => {
    for (const [name, code] of [
      ["0.4.9-torn-log", "tornTail"],
      ["2.3.8-torn", "tornTail"],
      ["2.3.8-bad-snapshot", "damagedSnapshot"],
    ] as const) {
      using fixture = new UnpackedFixture(name);
      const { notices } = await replayDirectory(fixture.directory, {
        name: expectedOf(name).member_name,
      });
      assert.deepEqual(
        notices.map((notice) => notice.code),
        [code],
      );
    }
  });

  it("of 3.4 has its v3 keys counted and its v3 entries skipped", async () => {
    for (const name of ["3.4.23-v2", "3.4.23-v2-snapshot"]) {
      using fixture = new UnpackedFixture(name);
      const expected = expectedOf(name);
      const counted = countV3Keys(join(fixture.directory, "member", "snap", "db"));
      assert.equal(counted.keys, expected.v3?.kvs.length);
      assert.equal(counted.isExact, true);
      assert.ok(counted.revisions > counted.keys);
      const { result } = await replayDirectory(fixture.directory);
      assert.equal(result.v3Entries, 8);
    }
  });

  it("of 0.4 is known by its only machine, by its conf, or by the given name", async () => {
    using single = new UnpackedFixture("0.4.9-log");
    assert.equal((await replayDirectory(single.directory)).result.members.length, 1);
    using member = new UnpackedFixture("0.4.9-cluster-member");
    const { result, notices } = await replayDirectory(member.directory);
    assert.equal(formatId(result.memberId), "ca98ea979c418069");
    assert.deepEqual(
      notices.map((notice) => notice.code),
      ["commitUnknown"],
    );
    await assert.rejects(
      replayDirectory(member.directory, { name: "stranger" }),
      /Couldn't figure out the node ID/,
    );
  });
});
