/** Peer URLs given on the command line: the checks of the original, in its order and words. */
import { refuse } from "./admin-command.ts";
import { urlComplaint } from "./go-url.ts";

/** The URLs, sorted. @throws Failure for the first that is none. */
export function parsePeerUrls(texts: readonly string[]): readonly string[] {
  return texts
    .map((text) => {
      const url = text.trim();
      const complaint = urlComplaint(url);

      if (complaint !== undefined) throw refuse(complaint);
      const parts = /^(https?):\/\/([^/?#]*)([^?#]*)(.*)$/i.exec(url);
      if (parts === null) throw refuse(`URL scheme must be http or https: ${url}`);
      const [, scheme = "", authority = "", path = "", rest = ""] = parts;
      const host = authority.slice(authority.lastIndexOf("@") + 1);
      if (!/^(?:\[[^\]]*\]|[^:[\]]*):[^:]*$/.test(host)) {
        throw refuse(`URL address does not have the form "host:port": ${url}`);
      }
      if (path !== "") throw refuse(`URL must not contain a path: ${url}`);
      return `${scheme.toLowerCase()}://${authority}${rest}`;
    })
    .sort();
}
