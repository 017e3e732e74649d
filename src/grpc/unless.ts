/**
 * A promise, or the signal's reason as soon as it aborts. The work behind the promise goes on; its result is dropped.
 *
 * @throws the signal's reason.
 */
export async function unless<T>(signal: AbortSignal, promise: Promise<T>): Promise<T> {
  let stop = (): void => {};
  const aborted = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
  });
  try {
    return await Promise.race([aborted, promise]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** The items of a source until the signal aborts, also while the source is silent. @throws the signal's reason. */
export async function* eachUnless<T>(signal: AbortSignal, source: AsyncIterable<T>): AsyncGenerator<T> {
  const iterator = source[Symbol.asyncIterator]();
  try {
    while (true) {
      const next = await unless(signal, iterator.next());
      if (next.done) return;
      yield next.value;
    }
  } finally {
    // A source that is still busy ends when it notices the signal: nobody waits for that.
    const ended = Promise.resolve(iterator.return?.()).catch(() => {});
    if (!signal.aborted) await ended;
  }
}
