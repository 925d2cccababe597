/**
 * What members remember of each other's data directories, and the verdict on a member that comes
 * back: with the state it answered for, or with another one. A member that forgot what it promised
 * must neither vote nor acknowledge, and nothing it says itself tells it from a fresh one.
 *
 * Each data directory has an incarnation, drawn when it is made, and counts the starts of the server
 * on it. What a member has answered for is a position: the highest index it told the leader of a
 * term to hold durably. Positions grow by term, then by index, so a copy of the directory that is
 * put back later shows by a count of starts already seen, or by a log that ends before the position.
 *
 * What is remembered comes only from the member itself, where it was dialled: whoever dials in can
 * be refused by it, and cannot change it. Keeps everything in memory; the host makes it durable.
 */
import type { LogEnd } from "../core/log/raft-log.ts";
import type { Index, NodeId, Term } from "../core/model/types.ts";

/** Which data directory a member speaks for, and which run of the server on it. */
export interface Life {
  /** Drawn when the directory was made; 16 hexadecimal digits. */
  readonly incarnation: string;
  /** Starts of the server on this directory so far, this one included. */
  readonly starts: number;
  /** Drawn by the process; 16 hexadecimal digits. */
  readonly session: string;
  /** Term and end of the log as they were on disk at this start. */
  readonly term: Term;
  readonly lastIndex: Index;
  /** Founded the cluster, and has not heard from enough of the other founders yet. */
  readonly isFounding: boolean;
  /** The last entry that is durable at this moment. */
  readonly end: LogEnd;
  /** The term that the member is in at this moment; 0 from members of earlier versions. */
  readonly currentTerm: Term;
}

/** The highest index that a member has told the leader of `term` to hold, or holds as that leader. */
export interface Position {
  readonly term: Term;
  readonly index: Index;
}

/** The latest that is known of a member. */
export interface RememberedLife extends Position {
  readonly incarnation: string;
  readonly starts: number;
  readonly session: string;
}

/** What the transport asks and tells about data directories. */
export interface LifeRegistry {
  /** This member's own, for its greetings. */
  readonly own: Life;
  /** What this member answers for at this moment. */
  position(): Position;
  /** Why this member must be turned away; undefined when it may come in. */
  validateLife(id: NodeId, life: Life): string | undefined;
  /** A member that was dialled let this one in, and said this of itself; undefined: too old to. */
  greeted(id: NodeId, life: Life | undefined): void;
  /** A member that was dialled said what it answers for. */
  answersFor(id: NodeId, position: Position): void;
}

/** What the memory starts from, and what it asks its owner. */
export interface PeerLivesOptions {
  /** What was remembered when this process started. */
  readonly remembered: Iterable<readonly [NodeId, RememberedLife]>;
  /** The replicated state says that this member has run before. */
  readonly hasRun: (id: NodeId) => boolean;
  /** What this member, as leader, was told by that one in this term; undefined when it leads not. */
  readonly acknowledgedBy: (id: NodeId) => Position | undefined;
  /** A start was seen: to be durable before anything else is said. */
  readonly onStart: () => void;
}

/** The memory of the other members' data directories. */
export class PeerLives {
  readonly #options: PeerLivesOptions;
  readonly #known: Map<NodeId, RememberedLife>;
  #changes = 0;

  constructor(options: PeerLivesOptions) {
    this.#options = options;
    this.#known = new Map(options.remembered);
  }

  get entries(): readonly (readonly [NodeId, RememberedLife])[] {
    return [...this.#known];
  }

  /** Grows with everything that is learned. */
  get changes(): number {
    return this.#changes;
  }

  /** Why this member must be turned away; undefined when it may come in. */
  validateLife(id: NodeId, life: Life): string | undefined {
    const known = this.#known.get(id);
    if (known === undefined) {
      return life.isFounding && this.#options.hasRun(id)
        ? `member ${id} has run before, and came back with an empty data directory`
        : undefined;
    }
    if (known.incarnation !== life.incarnation) {
      return `member ${id} came back with another data directory (incarnation ${life.incarnation}, known is ${known.incarnation})`;
    }
    if (known.session === life.session) return undefined;
    if (life.starts <= known.starts) {
      return `member ${id} came back with an earlier copy of its data directory (start ${life.starts}, start ${known.starts} was seen)`;
    }
    const acknowledged = this.#options.acknowledgedBy(id);
    const answered =
      acknowledged !== undefined && isBefore(known, acknowledged) ? acknowledged : known;
    if (!isBefore({ term: life.term, index: life.lastIndex }, answered)) return undefined;
    return (
      `member ${id} came back with an earlier state of its data: it ends at index ${life.lastIndex} in term ${life.term}, ` +
      `but it had acknowledged index ${answered.index} in term ${answered.term}`
    );
  }

  /** What a member said of itself where it was dialled. Later starts take the place of earlier ones. */
  remember(id: NodeId, life: Life): void {
    const known = this.#known.get(id);
    if (known?.session === life.session) return;
    if (known !== undefined && known.starts >= life.starts) return;
    const { incarnation, starts, session } = life;
    const { term, index } = known ?? { term: 0, index: 0 };
    this.#known.set(id, { incarnation, starts, session, term, index });
    this.#changes += 1;
    this.#options.onStart();
  }

  /** A member whose latest start is known said what it answers for. */
  answersFor(id: NodeId, position: Position): void {
    const known = this.#known.get(id);
    if (known === undefined || !isBefore(known, position)) return;
    const { term, index } = position;
    this.#known.set(id, { ...known, term, index });
    this.#changes += 1;
  }

  /** A member that was removed does not come back under its id. */
  forget(id: NodeId): void {
    if (this.#known.delete(id)) this.#changes += 1;
  }
}

function isBefore(a: Position, b: Position): boolean {
  return a.term < b.term || (a.term === b.term && a.index < b.index);
}
