import type { Round, Transcript } from '../../protocols/transcript.ts';
import type { PartyProcess } from './process.ts';
import type { Watch } from './watch.ts';

/** What the demonstration does to a round. Each victim is restarted when the round has ended. */
export interface Kill {
  readonly round: number;
  readonly victim: string;
  readonly when: string;
  run(victim: PartyProcess, watch: Watch): Promise<void>;
}

const WAIT_MS = 60_000;

function roundOf(t: Transcript, number: number): Round | undefined {
  return [...t.rounds.values()].find((round) => round.record.number === number);
}

function until(watch: Watch, number: number, reached: (round: Round) => boolean): Promise<Round> {
  return watch.log.until((t) => {
    const round = roundOf(t, number);
    return round !== undefined && reached(round) ? round : null;
  }, AbortSignal.timeout(WAIT_MS));
}

/**
 * The four deaths of the demonstration. A victim that must not get further is frozen first (SIGSTOP), so that what it
 * dies in the middle of does not depend on who is faster; it dies by SIGKILL.
 */
export function killPlan(nodes: readonly string[]): Kill[] {
  return [
    {
      round: 2,
      victim: nodes[1]!,
      when: 'a node, after the round opened and before its upload ended',
      run: async (victim, watch) => {
        await until(watch, 2, () => true);
        await victim.kill();
      },
    },
    {
      round: 4,
      victim: nodes[2]!,
      when: 'a node, between close and confirm',
      run: async (victim, watch) => {
        await until(watch, 4, (round) => round.uploads.has(victim.name));
        victim.signal('SIGSTOP');
        await until(watch, 4, (round) => round.attempts.length > 0);
        await victim.kill();
      },
    },
    {
      round: 6,
      victim: 'aggregator-1',
      when: 'an aggregator, in mid-upload',
      run: async (victim, watch) => {
        await until(watch, 6, () => true);
        victim.signal('SIGSTOP'); // uploads to it begin and hang
        await new Promise((resolve) => setTimeout(resolve, 600));
        await victim.kill();
      },
    },
    {
      round: 8,
      victim: 'member-2',
      when: 'a quorum member, after the close',
      run: async (victim, watch) => {
        await until(watch, 8, (round) => round.attempts.length > 0);
        await victim.kill();
      },
    },
  ];
}
