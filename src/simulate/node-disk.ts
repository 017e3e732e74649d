import { ROUNDS } from './disk.ts';
import type { Box } from './messages.ts';

/** What a node keeps, and under which keys. */
export const CHARGES = 'charges/';
export const uploadKey = (round: string): string => `${ROUNDS}${round}/upload`;
export const confirmKey = (round: string, close: string): string => `${ROUNDS}${round}/confirm-${close}`;

/** What `writeUpload` of src/party/upload-file.ts keeps in one file. */
export interface KeptUpload {
  readonly leaf: Uint8Array;
  readonly payloadHash: string;
  readonly key: Int16Array;
  readonly updateHash: Uint8Array;
  readonly maskSecret: Uint8Array;
}

export interface KeptConfirm {
  readonly seed: Uint8Array;
  readonly leaf: Uint8Array;
  readonly correction: Uint8Array;
  readonly boxes: readonly Box[];
}
