/**
 * The peers a proxy learned, kept in its data directory: where it asks after a restart, however
 * much the cluster has changed since the flags were written. The format is that of etcd 2.3.8.
 */
import type { Logger } from "@etcd2/observability";
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { checkedUrls } from "@etcd2/net-url";
import { makeDirectories } from "@etcd2/store";
import { StartError } from "../base/start-error.ts";
import { messageOf } from "../base/message-of.ts";

export class PeerFile {
  readonly path: string;
  readonly #directory: string;
  #written = "";

  constructor(proxyDir: string) {
    this.#directory = proxyDir;
    this.path = join(proxyDir, "cluster");
  }

  /**
   * The peer URLs; undefined when there is no file, or none that can be used.
   * @throws StartError when it is there and cannot be read.
   */
  read(log: Logger): readonly string[] | undefined {
    let text: string;
    try {
      text = readFileSync(this.path, "utf8");
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return undefined;
      throw new StartError(`cannot read ${this.path}: ${messageOf(error)}`, { cause: error });
    }
    const urls = parse(text);
    if (urls === undefined) log.warning(`proxy: ignoring ${this.path}, which is damaged`);
    return urls;
  }

  /** Replaces the file as a whole. @throws Error of the file system */
  write(peerUrls: readonly string[]): void {
    const text = JSON.stringify({ PeerURLs: peerUrls });
    if (text === this.#written) return;
    const draft = `${this.path}.bak`;
    writeFileSync(draft, text, { mode: 0o600, flush: true });
    renameSync(draft, this.path);
    this.#written = text;
  }

  /** From now on the data directory is a proxy's. @throws StartError */
  claim(): void {
    try {
      makeDirectories(this.#directory);
    } catch (error) {
      throw new StartError(`cannot access data directory: ${messageOf(error)}`, { cause: error });
    }
  }
}

function parse(text: string): readonly string[] | undefined {
  try {
    const { PeerURLs: urls } = JSON.parse(text) as { PeerURLs?: unknown };
    if (!Array.isArray(urls) || urls.length === 0) return undefined;
    const texts = urls.filter((url) => typeof url === "string");
    return texts.length === urls.length ? checkedUrls(texts).map((url) => url.text) : undefined;
  } catch {
    return undefined;
  }
}
