import { newestModel, type Round } from '../../protocols/transcript.ts';
import { dropUndecided } from './charges.ts';
import type { LogReader } from './log-reader.ts';
import type { Party } from './party.ts';
import { payloadOf } from './upload-file.ts';

/**
 * Removes every blob that is neither the payload of a round under way nor the newest model: payloads of ended rounds, what
 * a crash left between a payload and the file that names it, models of earlier rounds.
 */
export async function removeSpent(party: Party, log: LogReader): Promise<void> {
  const payloads = party.rounds.held.map((round) => payloadOf(party.rounds, round));
  const wanted = new Set([...payloads, newestModel(log.transcript)?.sealedHash]);
  const blobs = await party.store.blobs.list();
  await party.store.blobs.removeAll(blobs.map(({ hash }) => hash).filter((hash) => !wanted.has(hash)));
}

/** The round has ended: every secret of it is wiped, and a charge that never came to a decision is taken back. */
export async function forget(party: Party, log: LogReader, round: Round): Promise<void> {
  // The charge first: once the round's files are gone, nothing asks for it again.
  await dropUndecided(party, round);
  party.rounds.forget(round.id);
  await removeSpent(party, log);
  party.say('round ended', { round: round.record.number, phase: round.phase });
}
