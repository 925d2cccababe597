/**
 * Transcripts of etcdctl 2.3.8 that show a defect, with what happens here instead: `exec-watch
 * --after-index n` starts with the event n + 1, where etcdctl 2.3.8 leaves that one out.
 */
import type { Transcript } from "./transcripts.ts";

export const deviations: Readonly<Record<string, Partial<Transcript>>> = {
  "requests/024-exec-watch-after-index": {
    requests: [
      { method: "GET", path: "/v2/members" },
      { method: "GET", path: "/v2/keys/k", query: "recursive=false&wait=true&waitIndex=7" },
      { method: "GET", path: "/v2/keys/k", query: "recursive=false&wait=true&waitIndex=8" },
    ],
  },
  "exec-watch/001-history": {
    interrupt_after_lines: 3,
    stdout: "set {{P}}/a 1 {{n}}\nset {{P}}/a 2 {{n}}\nset {{P}}/a 3 {{n}}\n",
  },
};
