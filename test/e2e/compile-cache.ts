import { resolve } from 'node:path';

/**
 * The environment for processes that tests start: what Node makes of a source file is kept (by its content and Node's version),
 * which halves the time that a command takes to start. Not where users run it: a cache is code that somebody else may write.
 */
export const COMPILED: NodeJS.ProcessEnv = {
  ...process.env,
  NODE_COMPILE_CACHE: resolve(import.meta.dirname, '../../node_modules/.cache/veilsum-compile'),
};
