/** The highest revision that this process has told to anybody: no read may show an older state. */
export class Horizon {
  #revision = 0;
  #raftTerm = 0;

  get revision(): number {
    return this.#revision;
  }

  /** Term of the cluster, as its answers tell it. */
  get raftTerm(): number {
    return this.#raftTerm;
  }

  raise(revision: number, raftTerm = 0): void {
    if (revision > this.#revision) this.#revision = revision;
    if (raftTerm > this.#raftTerm) this.#raftTerm = raftTerm;
  }
}
