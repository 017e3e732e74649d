import { fromHex } from '../../crypto/encoding.ts';
import { isRunning } from '../../protocols/transcript.ts';
import { RoundService } from '../grpc/services.ts';
import { asking, findRound, openCaller, readLogOnce, requireOfficer } from './caller.ts';
import { CliError } from './exit.ts';

/** Asks the coordinator to end a round by an abort leaf. */
export async function abortRound(
  folder: string,
  wanted: string,
  task: string | null,
  print: (line: string) => void,
): Promise<void> {
  const caller = await openCaller(folder);
  requireOfficer(caller, 'aborting a round');
  const { transcript } = await readLogOnce(caller);
  const round = findRound(transcript, wanted, task);
  const where = `round ${round.record.number} of ${round.record.task}`;
  if (!isRunning(round)) throw new CliError('ROUND_ENDED', `${where} has ended already: it is ${round.phase}`);
  const { coordinator } = caller;
  const { leafIndex } = await asking('the coordinator', coordinator, () =>
    coordinator.call(RoundService.abort, { roundId: fromHex(round.id, 32) }),
  );
  const spent = round.phase === 'decided' ? ' It was decided already: its privacy charge stays spent.' : '';
  print(`${where} is aborted (leaf ${leafIndex}).${spent}`);
}
