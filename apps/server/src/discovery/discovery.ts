/**
 * Finding the members of a new cluster through a discovery URL: register, wait until as many have
 * registered as are wanted, and return them as an initial cluster. Every pass looks at the whole
 * state of the service anew, so that a lost answer, a lost watch or a crash costs a retry and
 * nothing else. Decides; what is kept on disk is the registration file's business.
 */
import { parseInitialCluster } from "../config/initial-cluster.ts";
import type { Logger } from "@etcd2/observability";
import { DiscoveryError } from "./discovery-error.ts";
import type { DiscoveryOutcome, DiscoverySubject } from "./discovery-error.ts";
import { BAD_ENDPOINT, ServiceRefusal, ServiceUnreachable } from "./discovery-service.ts";
import type { DiscoveryService, ServiceListing, ServiceNode } from "./discovery-service.ts";
import type { Registration, RegistrationFile } from "./registration-file.ts";

const CONFIG_KEY = "_config";
const RETRY_FIRST_MS = 2000;
const RETRY_LONGEST_MS = 64_000;
/** A registration acknowledged by one replica of the service may not show on another yet. */
const REPLICA_LAG_MS = 250;

const KEY_NOT_FOUND = 100;
const KEY_EXISTS = 105;

export interface DiscoveryOptions {
  readonly service: DiscoveryService;
  readonly subject: DiscoverySubject;
  /** The logger of the package "discovery". */
  readonly log: Logger;
  /** Waits; injected for tests. */
  readonly delay: (ms: number) => Promise<void>;
}

/** What one look at the service found. */
interface Sight {
  readonly size: number;
  /** Registrations in the order they were made. */
  readonly nodes: readonly ServiceNode[];
  readonly index: number;
}

type Note = Pick<RegistrationFile, "matches" | "write" | "remove">;

class Discovery {
  readonly #options: DiscoveryOptions;
  readonly #seen = new Set<string>();
  #failures = 0;
  #announced = "";

  constructor(options: DiscoveryOptions) {
    this.#options = options;
  }

  /** Registers and waits. The registration is noted before it can exist. */
  async join(self: Registration, note: Note): Promise<string> {
    let isRegistered = false;
    for (;;) {
      const sight = await this.#look();
      const own = sight.nodes.find((node) => node.key === self.id);
      if (own === undefined) {
        if (isRegistered) await this.#options.delay(REPLICA_LAG_MS);
        await this.#register(self, note, sight, isRegistered);
        isRegistered = true;
        continue;
      }
      if (!isRegistered) this.#resume(self, note, sight, own);
      isRegistered = true;
      if (sight.nodes.indexOf(own) >= sight.size) {
        note.remove();
        throw this.#fail("full");
      }
      if (await this.#isComplete(sight)) return this.#toCluster(sight);
    }
  }

  /** The members without registering: what a proxy needs. */
  async read(): Promise<string> {
    for (;;) {
      const sight = await this.#look();
      if (await this.#isComplete(sight)) return this.#toCluster(sight);
    }
  }

  async #register(
    self: Registration,
    note: Note,
    sight: Sight,
    isRegistered: boolean,
  ): Promise<void> {
    if (sight.nodes.length >= sight.size) {
      note.remove();
      throw this.#fail("full");
    }
    const { name } = this.#options.subject;
    // Refused before registering: the URL stays good for a corrected start.
    if (sight.nodes.some((node) => namesOf(node.value).includes(name))) {
      throw this.#fail("duplicateName");
    }
    note.write(self);
    let isOutcomeUnknown = isRegistered;
    for (;;) {
      try {
        await this.#options.service.create(`/${self.id}`, self.value);
        return;
      } catch (error) {
        if (error instanceof ServiceUnreachable) {
          // The request may have been carried out although its answer is lost.
          isOutcomeUnknown = true;
          await this.#backOff("registration", error);
          continue;
        }
        const isThere = error instanceof ServiceRefusal && error.code === KEY_EXISTS;
        if (isThere && isOutcomeUnknown) return;
        // Refused at once: there is no registration of this start that the note could be about.
        if (error instanceof ServiceRefusal && !isOutcomeUnknown) note.remove();
        // Somebody else registered this very id since the look: not ours to take up.
        if (isThere) throw this.#fail("duplicateId", error);
        throw this.#failed(error);
      }
    }
  }

  /**
   * An own registration that was there already is taken up only when it cannot have led to a
   * member that ran: the cluster is not complete, or the note of the crashed start is here.
   */
  #resume(self: Registration, note: Note, sight: Sight, own: ServiceNode): void {
    const isComplete = sight.nodes.length >= sight.size;
    if (own.value !== self.value || (isComplete && !note.matches(self))) {
      throw this.#fail("duplicateId");
    }
    this.#options.log.notice(`resuming the registration ${self.id} of an earlier start`);
    note.write(self);
  }

  /** Reports what is new; waits for a change when members are missing. */
  async #isComplete({ size, nodes, index }: Sight): Promise<boolean> {
    const { log, service, subject } = this.#options;
    for (const { key } of nodes.slice(0, size)) {
      if (this.#seen.has(key)) continue;
      this.#seen.add(key);
      log.notice(`found ${key === subject.id ? "self" : "peer"} ${key} in the cluster`);
    }
    if (nodes.length >= size) {
      log.notice(`found ${size} needed peer(s)`);
      return true;
    }
    const line = `found ${nodes.length} peer(s), waiting for ${size - nodes.length} more`;
    if (line !== this.#announced) log.notice(line);
    this.#announced = line;
    try {
      await service.waitForChange(index);
    } catch (error) {
      if (!(error instanceof ServiceUnreachable)) throw this.#failed(error);
      await this.#backOff("waiting for other nodes", error);
    }
    return false;
  }

  async #look(): Promise<Sight> {
    for (;;) {
      try {
        const sight = await this.#lookOnce();
        this.#failures = 0;
        return sight;
      } catch (error) {
        if (!(error instanceof ServiceUnreachable)) throw this.#failed(error);
        await this.#backOff("cluster status check", error);
      }
    }
  }

  async #lookOnce(): Promise<Sight> {
    const { service } = this.#options;
    const size = await this.#size();
    const listing: ServiceListing = await service.list();
    const nodes = listing.nodes
      .filter((node) => node.key !== CONFIG_KEY)
      .sort((a, b) => a.createdIndex - b.createdIndex);
    return { size, nodes, index: listing.index };
  }

  async #size(): Promise<number> {
    let value: string;
    try {
      value = await this.#options.service.read(`/${CONFIG_KEY}/size`);
    } catch (error) {
      if (!(error instanceof ServiceRefusal) || error.code !== KEY_NOT_FOUND) throw error;
      throw this.#fail("failed", error, "discovery: size key not found");
    }
    if (!/^[0-9]{1,6}$/.test(value) || Number(value) === 0) {
      throw this.#fail("failed", undefined, "discovery: size key is bad");
    }
    return Number(value);
  }

  async #backOff(step: string, error: ServiceUnreachable): Promise<void> {
    const { log, subject, delay } = this.#options;
    const ms = Math.min(RETRY_FIRST_MS * 2 ** this.#failures, RETRY_LONGEST_MS);
    this.#failures++;
    log.error(error.message);
    log.info(`${step}: error connecting to ${subject.url}, retrying in ${ms / 1000}s`);
    await delay(ms);
  }

  #toCluster({ nodes, size }: Sight): string {
    const text = nodes
      .slice(0, size)
      .map((node) => node.value)
      .join(",");
    const cluster = parseInitialCluster(text);
    if (!cluster.ok) throw this.#fail("failed", undefined, "discovery: invalid URL");
    if (cluster.value.size !== size) throw this.#fail("duplicateName");
    return text;
  }

  #failed(error: unknown): Error {
    if (error instanceof DiscoveryError) return error;
    if (!(error instanceof ServiceRefusal)) return error as Error;
    const hint = error.message === BAD_ENDPOINT ? `${BAD_ENDPOINT}: no etcd v2 store answers` : "";
    return this.#fail("failed", error, hint === "" ? error.message : hint);
  }

  #fail(outcome: DiscoveryOutcome, cause?: unknown, reason?: string): DiscoveryError {
    return new DiscoveryError(outcome, this.#options.subject, {
      ...(reason !== undefined && { reason }),
      cause,
    });
  }
}

/** The names in a registration's value. */
function namesOf(value: string): readonly string[] {
  return value.split(",").map((part) => part.slice(0, Math.max(0, part.indexOf("="))));
}

/**
 * Joins the cluster of a discovery URL as a founding member.
 * @returns the initial cluster as text.
 * @throws DiscoveryError
 */
export function joinCluster(
  options: DiscoveryOptions,
  self: Registration,
  note: Note,
): Promise<string> {
  return new Discovery(options).join(self, note);
}

/**
 * Reads the members of a discovery URL without registering, waiting for them if need be.
 * @throws DiscoveryError
 */
export function readCluster(options: DiscoveryOptions): Promise<string> {
  return new Discovery(options).read();
}
