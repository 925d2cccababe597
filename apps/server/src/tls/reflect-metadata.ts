/**
 * Owns as much of the metadata reflection API as tsyringe, the container inside @peculiar/x509,
 * asks for when it is loaded; without it that package refuses to load. The npm package
 * reflect-metadata would do the same with two thousand lines that every process making
 * certificates would carry. Imported for its effect, before @peculiar/x509, and only then.
 */
type Key = string | symbol;

const stores = new WeakMap<object, Map<Key, unknown>>();

function own(key: Key, target: object): unknown {
  return stores.get(target)?.get(key);
}

function inherited(key: Key, target: object): unknown {
  let holder: object | null = target;
  while (holder !== null) {
    if (stores.get(holder)?.has(key) === true) return own(key, holder);
    holder = Reflect.getPrototypeOf(holder);
  }
  return undefined;
}

function define(key: Key, value: unknown, target: object): void {
  const store = stores.get(target) ?? new Map<Key, unknown>();
  stores.set(target, store.set(key, value));
}

if (!("getMetadata" in Reflect)) {
  Object.assign(Reflect, {
    defineMetadata: define,
    getOwnMetadata: own,
    getMetadata: inherited,
  });
}
