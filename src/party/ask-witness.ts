import { fromUtf8 } from '../../crypto/encoding.ts';
import {
  isBy,
  type NoteSignature,
  parseNote,
  parseSignatures,
  type Verifier,
  verifySignature,
} from '../../crypto/note.ts';
import { formatWitnessRequest, type WitnessRequest } from '../../crypto/witness-request.ts';
import { ProtocolError } from '../../protocols/errors.ts';
import type { Connection } from '../grpc/connection.ts';
import { WitnessService } from '../grpc/services.ts';
import { readBody } from '../http/read-body.ts';
import { primitives } from './party.ts';

/** How long a witness may take before the log goes on without it, in ms: parties of the federation, and strangers. */
const PARTY_MS = 2000;
const STRANGER_MS = 5000;
/** Largest answer that is read: signature lines of a few keys. */
const MAX_ANSWER_BYTES = 16_384;

/** What a witness says: its lines, or only the size it holds where that is another one than it was asked from. */
export interface WitnessReply {
  readonly knownSize: number;
  readonly lines: readonly NoteSignature[];
}

/** Somebody who cosigns our log's heads, however it is reached. */
export interface Witness {
  readonly name: string;
  /** @throws where it refuses or does not answer in time. */
  ask(request: WitnessRequest): Promise<WitnessReply>;
}

/** A member or witness of the federation, over mutual TLS. */
export function grpcWitness(name: string, connection: Connection): Witness {
  return {
    name,
    ask: async ({ oldSize, proof, note }) => {
      const request = { oldSize: BigInt(oldSize), consistencyProof: [...proof], checkpoint: note };
      const { knownSize, cosignatures } = await connection.callOnce(WitnessService.addCheckpoint, request, PARTY_MS);
      const lines = cosignatures[0] === undefined ? [] : parseSignatures(fromUtf8(cosignatures[0]));
      return { knownSize: Number(knownSize), lines };
    },
  };
}

/**
 * Anybody's witness, over HTTP (C2SP tlog-witness). Nothing about the connection is trusted: its line counts because it
 * verifies under the key that genesis names.
 *
 * @param verifier - lines of other keys are ignored, as the specification asks.
 * @param url - the submission prefix.
 */
export function httpWitness(name: string, url: string, verifier: Verifier): Witness {
  const address = `${url.replace(/\/$/, '')}/add-checkpoint`;
  return {
    name,
    ask: async (request) => {
      const signal = AbortSignal.timeout(STRANGER_MS);
      const body = Buffer.from(formatWitnessRequest(request));
      const response = await fetch(address, { method: 'POST', body, signal, redirect: 'error' });
      const bytes = await readBody(response, MAX_ANSWER_BYTES);
      if (bytes === null) throw new ProtocolError('TOO_LARGE', 'the witness sent more than any answer has');
      const text = fromUtf8(bytes);
      if (response.status === 409) return { knownSize: parseSize(text), lines: [] };
      if (response.status !== 200) throw new ProtocolError('NOT_COSIGNED', `the witness answered ${response.status}`);
      const head = parseNote(request.note).text;
      const lines = parseSignatures(text).filter((line) => isBy(verifier, line));
      if (lines.length === 0 || !lines.every((line) => verifySignature(primitives, verifier, head, line))) {
        throw new ProtocolError('BAD_SIGNATURE', 'the witness has not cosigned this head');
      }
      return { knownSize: sizeOf(head), lines: lines.slice(0, 1) };
    },
  };
}

function parseSize(text: string): number {
  if (!/^(?:0|[1-9][0-9]{0,15})\n$/.test(text))
    throw new ProtocolError('MALFORMED', 'not the size that a witness holds');
  return Number(text);
}

function sizeOf(head: string): number {
  return Number(head.split('\n')[1]);
}
