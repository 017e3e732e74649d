import { createRequire } from 'node:module';
import { dirname, sep } from 'node:path';
import nodeUtil from 'node:util';
import type * as TensorFlow from '@tensorflow/tfjs';
import { LearningError } from './errors.ts';
import { keepsRowsApart } from './rows-apart.ts';

const require = createRequire(import.meta.url);

/** The TensorFlow.js module, whichever backend computes. */
export type Tf = typeof TensorFlow;
export type Backend = 'tensorflow' | 'wasm' | 'cpu';

export interface LoadedTensorFlow {
  readonly tf: Tf;
  readonly backend: Backend;
  /** One line for each backend that was tried before and could not be used: its name and why. */
  readonly notes: readonly string[];
}

/**
 * Loads TensorFlow.js with the first backend of `prefer` that starts and keeps rows apart (`rows-apart.ts`): the native library (optional dependency
 * `@tensorflow/tfjs-node`, whose install script downloads it), else WebAssembly, else plain JavaScript.
 *
 * TensorFlow.js keeps one backend per process: a second call switches it for everybody. Calls wait for one another, because two
 * that start at once would mix their backends.
 *
 * @throws LearningError NO_BACKEND when none starts; the message says why for each.
 */
export function loadTensorFlow(prefer: readonly Backend[] = ['tensorflow', 'wasm', 'cpu']): Promise<LoadedTensorFlow> {
  const load = (): Promise<LoadedTensorFlow> => startFirst(prefer);
  const loaded = starting.then(load, load);
  starting = loaded;
  return loaded;
}

let starting: Promise<unknown> = Promise.resolve();

async function startFirst(prefer: readonly Backend[]): Promise<LoadedTensorFlow> {
  const notes: string[] = [];
  for (const backend of prefer) {
    try {
      const tf = backend === 'tensorflow' ? requireNative() : requirePortable(backend);
      // Without this the first tensor on the JavaScript backend prints an advertisement to the console.
      tf.enableProdMode();
      await keepListeners(async () => {
        if (!(await tf.setBackend(backend))) throw new Error('did not initialise');
        await tf.ready();
      });
      if (!keepsRowsApart(tf)) throw new Error('a row depends on the rows beside it, so no record would be bounded');
      return { tf, backend, notes };
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      notes.push(`${backend}: ${reason.trim().split('\n')[0] ?? ''}`);
    }
  }
  throw new LearningError('NO_BACKEND', `no TensorFlow.js backend starts on this machine: ${notes.join('; ')}`);
}

function requirePortable(backend: Backend): Tf {
  const tf = require('@tensorflow/tfjs') as Tf;
  if (backend === 'wasm') {
    const wasm = require('@tensorflow/tfjs-backend-wasm') as { setWasmPaths(folder: string): void };
    wasm.setWasmPaths(dirname(require.resolve('@tensorflow/tfjs-backend-wasm')) + sep);
  }
  return tf;
}

function requireNative(): Tf {
  // tfjs-node 4.22 still calls util.isNullOrUndefined, which Node 23 removed.
  const legacy = nodeUtil as unknown as { isNullOrUndefined?: (value: unknown) => boolean };
  legacy.isNullOrUndefined ??= (value) => value === null || value === undefined;
  process.env['TF_CPP_MIN_LOG_LEVEL'] ??= '2';
  return require('@tensorflow/tfjs-node') as Tf;
}

/** Emscripten's start-up code takes over the process's handling of uncaught errors; this gives it back. */
async function keepListeners(start: () => Promise<void>): Promise<void> {
  const events = ['uncaughtException', 'unhandledRejection'] as const;
  const before = events.map((event) => process.listeners(event as 'exit'));
  await start();
  events.forEach((event, i) => {
    for (const listener of process.listeners(event as 'exit')) {
      if (!before[i]!.includes(listener)) process.removeListener(event, listener);
    }
  });
}
