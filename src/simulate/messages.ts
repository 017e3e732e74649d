import type { QuorumChange } from '../../protocols/rules-membership.ts';
import type { WitnessState } from '../../protocols/witness.ts';

/** Requests and answers between parties, by method: what `proto/veilsum/v1` says, without its encoding. */
export interface Methods {
  append: { request: Uint8Array; response: number };
  follow: {
    request: { readonly from: number; readonly shown: number };
    response: { readonly leaves: readonly Uint8Array[]; readonly note: Uint8Array | null };
  };
  addCheckpoint: {
    request: { readonly oldSize: number; readonly proof: readonly Uint8Array[]; readonly note: Uint8Array };
    response: { readonly knownSize: WitnessState['size']; readonly line: string | null };
  };
  approve: { request: QuorumChange; response: string };
  openRound: { request: { readonly task: number; readonly requestId: string }; response: string };
  putModel: { request: { readonly leaf: Uint8Array; readonly sealed: Uint8Array }; response: number };
  getModel: { request: string; response: Uint8Array };
  upload: { request: { readonly leaf: Uint8Array; readonly payload: Uint8Array }; response: number };
  confirm: {
    request: { readonly leaf: Uint8Array; readonly correction: Uint8Array; readonly boxes: readonly Box[] };
    response: number;
  };
  reseal: { request: { readonly leaf: Uint8Array; readonly box: Box }; response: number };
  fetchBox: {
    request: { readonly close: string; readonly node: string; readonly holder: string };
    response: Uint8Array;
  };
  sum: { request: { readonly round: string; readonly payloadHashes: readonly string[] }; response: string };
  fetchSum: { request: string; response: Uint8Array };
  fetchMaskSum: { request: string; response: Uint8Array };
  fetchCorrection: { request: { readonly close: string; readonly node: string }; response: Uint8Array };
  putAnswer: { request: { readonly leaf: Uint8Array; readonly sealed: readonly Sealed[] }; response: number };
  fetchAnswers: {
    request: { readonly decide: string; readonly recipient: string; readonly except: readonly string[] };
    response: readonly { readonly member: string; readonly sealed: Uint8Array }[];
  };
}

export type Method = keyof Methods;
export type Request<M extends Method> = Methods[M]['request'];
export type Response<M extends Method> = Methods[M]['response'];

export interface Box {
  readonly holder: string;
  readonly sealed: Uint8Array;
}

export interface Sealed {
  readonly recipient: string;
  readonly sealed: Uint8Array;
}
