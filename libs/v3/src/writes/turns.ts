/** Runs tasks of one name one after the other, tasks of different names side by side. */

export class Turns {
  readonly #last = new Map<string, Promise<void>>();

  /** Runs a task once all earlier ones of its name have ended. */
  take<T>(name: string, task: () => Promise<T>): Promise<T> {
    const before = this.#last.get(name);
    const result = before === undefined ? task() : before.then(task);
    const settled = result.then(
      () => undefined,
      () => undefined,
    );
    this.#last.set(name, settled);
    void settled.then(() => {
      if (this.#last.get(name) === settled) this.#last.delete(name);
    });
    return result;
  }
}
