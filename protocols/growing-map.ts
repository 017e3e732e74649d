/** What all versions of a map share: entries in the order they came, and where each key is. */
interface Shared<K, V> {
  readonly entries: [K, V][];
  readonly places: Map<K, number>;
}

/**
 * A map whose `with` gives a new version and leaves this one as it was, without copying: all versions share one list, and
 * a version sees its first `size` entries. Extending a version that is not the newest one copies.
 *
 * Law: as a Map that is copied and extended. A round of n nodes then costs n steps, not n^2.
 */
export class GrowingMap<K, V> implements ReadonlyMap<K, V> {
  readonly size: number;
  readonly #shared: Shared<K, V>;

  private constructor(shared: Shared<K, V>, size: number) {
    this.#shared = shared;
    this.size = size;
  }

  static empty<K, V>(): GrowingMap<K, V> {
    return new GrowingMap<K, V>({ entries: [], places: new Map() }, 0);
  }

  /** Any map's next version; one of another class is copied first. `key` must be new. */
  static extend<K, V>(map: ReadonlyMap<K, V>, key: K, value: V): GrowingMap<K, V> {
    const own = map instanceof GrowingMap ? (map as GrowingMap<K, V>) : GrowingMap.#copy(map);
    return own.with(key, value);
  }

  static #copy<K, V>(map: ReadonlyMap<K, V>): GrowingMap<K, V> {
    const entries = [...map];
    const places = new Map(entries.map(([key], place) => [key, place] as const));
    return new GrowingMap({ entries, places }, entries.length);
  }

  with(key: K, value: V): GrowingMap<K, V> {
    if (this.has(key)) throw new RangeError('the key is there already');
    if (this.#shared.entries.length !== this.size) return GrowingMap.#copy(this).with(key, value);
    this.#shared.entries.push([key, value]);
    this.#shared.places.set(key, this.size);
    return new GrowingMap(this.#shared, this.size + 1);
  }

  has(key: K): boolean {
    return (this.#shared.places.get(key) ?? this.size) < this.size;
  }

  get(key: K): V | undefined {
    const place = this.#shared.places.get(key) ?? this.size;
    return place < this.size ? this.#shared.entries[place]![1] : undefined;
  }

  *entries(): MapIterator<[K, V]> {
    for (let place = 0; place < this.size; place++) {
      const [key, value] = this.#shared.entries[place]!;
      yield [key, value];
    }
  }

  *keys(): MapIterator<K> {
    for (let place = 0; place < this.size; place++) yield this.#shared.entries[place]![0];
  }

  *values(): MapIterator<V> {
    for (let place = 0; place < this.size; place++) yield this.#shared.entries[place]![1];
  }

  [Symbol.iterator](): MapIterator<[K, V]> {
    return this.entries();
  }

  forEach(visit: (value: V, key: K, map: ReadonlyMap<K, V>) => void): void {
    for (const [key, value] of this) visit(value, key, this);
  }
}
