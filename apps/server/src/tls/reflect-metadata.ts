/**
 * Owns as much of the metadata reflection API as the container inside @peculiar/x509 asks for
 * when it is loaded. Imported for its effect, before that package, and only when certificates are
 * made.
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
