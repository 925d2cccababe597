/** `member update`: gives a member other peer URLs. */
import { adminCommand, refuse } from "../admin-command.ts";
import type { Command } from "../../cli/command.ts";
import { updateMember } from "../../api/members-api.ts";
import { parsePeerUrls } from "./peer-urls.ts";

export const memberUpdate: Command = {
  name: "update",
  usage: "update an existing member in the etcd cluster",
  argsUsage: "<memberID> <peerURLs>",
  takes: ["member"],
  run: adminCommand(
    ({ args }) => {
      if (args.length === 2) return;
      const example = "(0xabcd http://example.com,http://example1.com)";
      throw refuse(`Provide an ID and a list of comma separated peerURL ${example}`);
    },
    async (session, { args: [id = "", urls = ""], terminal }) => {
      await updateMember(session, id, parsePeerUrls(urls.split(",")));
      terminal.out(`Updated member with ID ${id} in cluster\n`);
    },
  ),
};
