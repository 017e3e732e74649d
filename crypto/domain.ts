import { CryptoError } from './errors.ts';

/**
 * Every label under which this project hashes, signs or derives. One place, so that no two uses share one by accident
 * and the protocol version is in each of them: a change of any meaning is a new version of the label.
 *
 * Labels are printable ASCII without NUL, so `label || 0x00 || bytes` is injective.
 */
export const DOMAIN = {
  // Hashes of records and blobs.
  roundRecord: 'veilsum/v1/round-record',
  genesis: 'veilsum/v1/genesis',
  taskHash: 'veilsum/v1/task',
  modelHash: 'veilsum/v1/model',
  leafHash: 'veilsum/v1/leaf-hash',
  payloadHash: 'veilsum/v1/payload',
  sumHash: 'veilsum/v1/sum',
  cohortHash: 'veilsum/v1/cohort',
  updateHash: 'veilsum/v1/update',
  resultHash: 'veilsum/v1/result',
  correctionHash: 'veilsum/v1/correction',
  bucketRank: 'veilsum/v1/bucket-rank',
  invitationHash: 'veilsum/v1/invitation-hash',

  // Signatures. One label per kind of signed statement.
  leaf: 'veilsum/v1/leaf',
  message: 'veilsum/v1/message',
  enrolment: 'veilsum/v1/enrolment',
  invitation: 'veilsum/v1/invitation',
  invitationUse: 'veilsum/v1/invitation-use',
  roundKey: 'veilsum/v1/round-key',
  upload: 'veilsum/v1/upload',
  confirm: 'veilsum/v1/confirm',
  policy: 'veilsum/v1/policy',
  quorumChange: 'veilsum/v1/quorum-change',

  // The payload.
  publicPolynomial: 'veilsum/v1/public-polynomial',
  oneTimeKey: 'veilsum/v1/one-time-key',
  encryptionError: 'veilsum/v1/encryption-error',
  checksumChallenge: 'veilsum/v1/checksum-challenge',

  // The quorum.
  shareSeed: 'veilsum/v1/share-seed',
  recipientSeed: 'veilsum/v1/recipient-seed',
  seedCommitment: 'veilsum/v1/seed-commitment',
  shareBox: 'veilsum/v1/share-box',
  recipientBox: 'veilsum/v1/recipient-box',
  shareSum: 'veilsum/v1/share-sum',
  answerBox: 'veilsum/v1/answer-box',

  // Pairwise masks.
  pairwiseSeed: 'veilsum/v1/pairwise-seed',

  // The model on its way back to the nodes, and state at rest.
  modelBox: 'veilsum/v1/model-box',
  checkpointKey: 'veilsum/v1/checkpoint-key',

  // Which values of an update a round carries, and the signs of its rotation.
  compressionKept: 'veilsum/v1/compression-kept',
  compressionSigns: 'veilsum/v1/compression-signs',

  // Matching of names across sites.
  matchingHolder: 'veilsum/v1/matching-holder',
  matchingKey: 'veilsum/v1/matching-key',
  matchingKeySet: 'veilsum/v1/matching-key-set',
  matchingBlind: 'veilsum/v1/matching-blind',
  matchingInput: 'veilsum/v1/matching-input',
  matchingJoin: 'veilsum/v1/matching-join',
  matchingToken: 'veilsum/v1/matching-token',
} as const;

const encoder = new TextEncoder();

/**
 * Bytes of a label.
 *
 * @throws CryptoError BAD_VALUE if it holds anything but printable ASCII, or is empty.
 */
export function labelBytes(label: string): Uint8Array {
  if (!/^[\x21-\x7e]+$/.test(label)) throw new CryptoError('BAD_VALUE', 'a label is printable ASCII without spaces');
  return encoder.encode(label);
}
