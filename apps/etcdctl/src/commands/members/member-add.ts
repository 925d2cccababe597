/** `member add`: announces a member that is about to start. */
import { adminCommand, refuse } from "../admin-command.ts";
import type { Command } from "../../cli/command.ts";
import { quote } from "../../text/go-text.ts";
import { addMember, listMembers } from "../../api/members-api.ts";
import { parsePeerUrls } from "./peer-urls.ts";
import type { Member } from "../../api/wire.ts";

/** `name=url` of every peer URL, the new member under its new name. */
export function initialCluster(members: readonly Member[], newId: string, newName: string): string {
  return members
    .flatMap(({ id, name, peerURLs }) => {
      return peerURLs.map((url) => `${id === newId ? newName : name}=${url}`);
    })
    .join(",");
}

export const memberAdd: Command = {
  name: "add",
  usage: "add a new member to the etcd cluster",
  argsUsage: "<name> <peerURL>",
  flags: [
    {
      kind: "switch",
      name: "learner",
      usage: "add it without a vote; `member promote` gives it one when it has caught up",
      isHidden: true,
    },
  ],
  run: adminCommand(
    ({ args }) => {
      if (args.length !== 2) throw refuse("Provide a name and a single member peerURL");
    },
    async (session, { args, flags, terminal }) => {
      const [name = "", url = ""] = args;
      const [peerUrl = ""] = parsePeerUrls([url]);
      const isLearner = flags.isSet("learner");
      const added = await addMember(session, peerUrl, { learner: isLearner });
      const kind = isLearner ? "learner" : "member";
      terminal.out(`Added ${kind} named ${name} with ID ${added.id} to cluster\n`);
      const members = await listMembers(session);
      terminal.out(
        `\nETCD_NAME=${quote(name)}\n` +
          `ETCD_INITIAL_CLUSTER=${quote(initialCluster(members, added.id, name))}\n` +
          `ETCD_INITIAL_CLUSTER_STATE="existing"\n`,
      );
      if (isLearner) {
        terminal.out(`\nWhen it has caught up:\n\n  etcdctl member promote ${added.id}\n`);
      }
    },
  ),
};
