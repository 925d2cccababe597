/**
 * A cluster of three in which somebody speaks in a member's name and says what cannot be: each such
 * message is refused where it arrives, nobody stops, and nobody is elected because of it.
 */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { create, toBinary } from "@bufbuild/protobuf";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { ChannelCredentials, Client } from "@grpc/grpc-js";
import {
  EntryType,
  HelloSchema,
  MessageBatchSchema,
  MessageSchema,
  MessageType,
  StreamFrameSchema,
} from "@etcd2/proto/raft";
import { freePort, until } from "@etcd2/test-support";
import { ask, ServerProcess } from "./single-member/server-process.ts";

interface Figures {
  readonly id: string;
  readonly term: number;
  readonly lead: string;
  readonly commit: number;
}

const members: ServerProcess[] = [];
const peerUrls: string[] = [];
let clusterId = "";

async function figures(member: ServerProcess): Promise<Figures> {
  const { body } = await ask("GET", `${member.clientUrl}/debug/vars`);
  const status = (JSON.parse(body) as { "raft.status": Figures })["raft.status"];
  return { ...status, id: status.id.padStart(16, "0"), lead: status.lead.padStart(16, "0") };
}

async function refusals(member: ServerProcess): Promise<number> {
  const { body } = await ask("GET", `${member.clientUrl}/metrics`);
  return Number(/^etcd2_raft_messages_refused_total (\d+)$/m.exec(body)?.[1]);
}

before(async () => {
  for (let n = 0; n < 3; n++) peerUrls.push(`http://127.0.0.1:${await freePort()}`);
  const initial = peerUrls.map((url, n) => `m${n}=${url}`).join(",");
  for (const [n, peerUrl] of peerUrls.entries()) {
    const member = new ServerProcess();
    member.clientUrl = `http://127.0.0.1:${await freePort()}`;
    member.flags = [
      ...["--name", `m${n}`, "--data-dir", member.dataDir, "--initial-cluster", initial],
      ...["--listen-client-urls", member.clientUrl, "--advertise-client-urls", member.clientUrl],
      ...["--listen-peer-urls", peerUrl, "--initial-advertise-peer-urls", peerUrl],
    ];
    members.push(member);
  }
  await Promise.all(members.map((member) => member.spawn()));
  for (let count = 0; count < 5; count++) {
    const [first] = members;
    await until("a write succeeds", async () => {
      const answer = await ask("PUT", `${first?.clientUrl ?? ""}/v2/keys/kept`, `value=${count}`);
      clusterId = String(answer.headers["x-etcd-cluster-id"]).padStart(16, "0");
      return answer.status < 300;
    });
  }
});

after(() => Promise.all(members.map((member) => member.dispose())));

/** Says these messages to a member in the name of another. */
function say(
  url: string,
  [from, to]: readonly [string, string],
  said: readonly MessageInitShape<typeof MessageSchema>[],
): Promise<void> {
  const client = new Client(new URL(url).host, ChannelCredentials.createInsecure());
  const same = (bytes: Buffer): Buffer => bytes;
  const stream = client.makeBidiStreamRequest<Buffer, Buffer>(
    "/raft.v1.RaftService/Stream",
    same,
    same,
  );
  const hello = create(HelloSchema, {
    ...{ clusterId, from, to, serverVersion: "2.3.8", minClusterVersion: "2.3.0" },
  });
  const batch = create(MessageBatchSchema, {
    messages: said.map((message) => create(MessageSchema, { from, to, ...message })),
  });
  for (const frame of [
    { case: "hello" as const, value: hello },
    { case: "batch" as const, value: batch },
  ]) {
    stream.write(Buffer.from(toBinary(StreamFrameSchema, create(StreamFrameSchema, { frame }))));
  }
  return new Promise((resolve) => {
    stream.on("data", () => undefined);
    stream.on("error", () => undefined);
    stream.on("status", () => {
      client.close();
      resolve();
    });
    stream.end();
  });
}

describe("what a member cannot have said", () => {
  it("stops neither leader nor follower, and elects nobody", async () => {
    const all = await Promise.all(
      members.map(async (member, n) => ({
        ...(await figures(member)),
        member,
        url: peerUrls[n] ?? "",
      })),
    );
    const leader = all.find(({ id, lead }) => id === lead);
    const [follower, other] = all.filter(({ id, lead }) => id !== lead);
    assert.ok(leader !== undefined && follower !== undefined && other !== undefined);
    const term = BigInt(leader.term);
    const beyond = 2n ** 40n;
    const forged = { term, index: 2n, type: EntryType.NORMAL, data: new Uint8Array(0) };
    const garbage = {
      ...forged,
      index: BigInt(follower.commit) + 1n,
      data: Buffer.from("garbage"),
    };
    const toFollower = [
      { type: MessageType.HEARTBEAT, term, commit: beyond },
      { type: MessageType.APPEND, term: term + 1n, logIndex: 1n, logTerm: 1n, entries: [forged] },
      { type: MessageType.APPEND, term, logTerm: term, entries: [garbage] },
      { type: MessageType.HEARTBEAT, term: 2n ** 53n - 1n, commit: 1n },
      { type: MessageType.VOTE, term: 2n ** 50n, logIndex: beyond, logTerm: beyond, force: true },
      { type: MessageType.SNAPSHOT, term, snapshot: { index: beyond, term, confState: {} } },
    ].map((message) => ({ logIndex: BigInt(follower.commit), ...message }));
    await say(follower.url, [leader.id, follower.id], toFollower);
    const toLeader = [
      { type: MessageType.APPEND_RESPONSE, term, logIndex: beyond },
      { type: MessageType.HEARTBEAT_RESPONSE, term, context: "1e300" },
      { type: MessageType.HEARTBEAT, term, commit: 1n },
      { type: MessageType.PROPOSE, term, entries: [garbage] },
      { type: MessageType.PROPOSE, term, entries: [{ ...garbage, type: EntryType.CONF_CHANGE }] },
      { type: MessageType.APPEND, term: 2n ** 52n },
    ];
    await say(leader.url, [other.id, leader.id], toLeader);
    await until("all of it was refused", async () => {
      const counts = await Promise.all([refusals(follower.member), refusals(leader.member)]);
      return counts[0] === toFollower.length && counts[1] === toLeader.length;
    });
    for (const { member, id } of all) {
      const { term: now, lead } = await figures(member);
      // A machine that stands still may bring about an election of its own; no term leaps by it.
      assert.ok(now - leader.term < 10 && lead !== "", `${id} is in term ${now}`);
      const answer = await ask("PUT", `${member.clientUrl}/v2/keys/after`, "value=1");
      assert.ok(answer.status < 300, answer.body);
      const read = await ask("GET", `${member.clientUrl}/v2/keys/kept?quorum=true`);
      assert.match(read.body, /"value":"4"/);
    }
    assert.match(follower.member.log, /refused a message, .* of member [0-9a-f]+: /);
  });
});
