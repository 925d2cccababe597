/** A member without raft in a process of its own, to be killed: argv = id, then peers as id=url. */
import { memberId, TestMember } from "./grpc-transport-harness.ts";

const [id = "2", ...peers] = process.argv.slice(2);
const member = await TestMember.start({ id: memberId(Number(id)) });
for (const peer of peers) {
  const [peerId = "", url = ""] = peer.split("=");
  member.transport.addPeer({ id: memberId(Number(peerId)), urls: [url] });
}
process.on("message", (word) => {
  if (word === "stop") void member.stop().then(() => process.exit());
});
process.on("disconnect", () => process.exit());
process.send?.(member.url);
