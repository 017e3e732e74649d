import { inert } from '../platform/inert-text.ts';

/** What a running party says about itself: one JSON object per line on standard error, for people and for collectors. */
export type Say = (event: string, fields?: Readonly<Record<string, string | number | boolean | null>>) => void;

/** @param level - `quiet` says nothing but errors. */
export function sayTo(party: string, write: (line: string) => void): Say {
  return (event, fields = {}) =>
    write(`${inert(JSON.stringify({ time: new Date().toISOString(), party, event, ...fields }))}\n`);
}
