import { TransportError } from './errors.ts';

/**
 * A promise that must settle in time.
 *
 * @param limitMs - null waits for ever.
 * @throws TransportError with `code` when it takes longer. Its work goes on; its result is dropped.
 */
export async function inTime<T>(limitMs: number | null, code: 'DEADLINE' | 'IDLE', promise: Promise<T>): Promise<T> {
  if (limitMs === null) return promise;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new TransportError(code, `nothing for ${limitMs} ms`)), limitMs);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}
