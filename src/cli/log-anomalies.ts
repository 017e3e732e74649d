import { type Anomaly, anomaliesOf } from '../../protocols/anomalies.ts';
import { ANOMALIES } from '../../protocols/anomaly-rules.ts';
import { traceOf } from '../../protocols/round-trace.ts';
import type { Transcript } from '../../protocols/transcript.ts';
import { readAuditInput } from '../audit/audit-folder.ts';
import { readVerified } from '../audit/read-verified.ts';
import { openCaller, readLogOnce } from './caller.ts';
import { CliError, EXIT, usageError } from './exit.ts';
import { readPolicy } from './log-proof.ts';
import { print, printable } from './output.ts';

export interface AnomalyFlags {
  readonly policy?: string;
  readonly genesis?: string;
  readonly dir?: string;
  readonly json?: boolean;
}

interface Looked {
  readonly leaves: number;
  readonly rounds: number;
  readonly anomalies: readonly Anomaly[];
}

/** The numbered rules, for a person. */
export function ruleLines(): string {
  return ANOMALIES.map(({ id, code, sentence, threshold }) => {
    return `  ${id}  ${code}\n     ${sentence}\n     Reported: ${threshold}.`;
  }).join('\n');
}

/** `veilsum log anomalies`: of files once they verify, or of a running federation. */
export async function showAnomalies(folder: string | undefined, flags: AnomalyFlags): Promise<void> {
  const looked = folder === undefined ? await lookAtRunning(flags) : lookAtFolder(folder, flags);
  if (flags.json === true) print(JSON.stringify(looked));
  else for (const line of linesOf(looked)) print(line);
}

function lookAtFolder(folder: string, flags: AnomalyFlags): Looked {
  const { policy, genesis = null, dir } = flags;
  if (policy === undefined || dir !== undefined)
    throw usageError("a folder takes --policy and no --dir, as in 'veilsum log anomalies log --policy policy.txt'");
  readPolicy(policy);
  const input = readAuditInput({ folder, policyFile: policy, genesis });
  if ('exitCode' in input)
    throw input.exitCode === EXIT.usage
      ? usageError(input.text.trimEnd())
      : new CliError('FILES_MISSING', input.text.trimEnd(), { exitCode: EXIT.undecided });
  const { result, rounds } = readVerified(input, traceOf, (code, why) => {
    return new CliError(code, why, { exitCode: code === 'FILES_MISSING' ? EXIT.undecided : EXIT.refused });
  });
  return { leaves: result.leaves, rounds: rounds.length, anomalies: anomaliesOf(result.transcript, rounds) };
}

async function lookAtRunning({ dir, policy, genesis }: AnomalyFlags): Promise<Looked> {
  if (dir === undefined || policy !== undefined || genesis !== undefined)
    throw usageError(
      "name the log's folder with --policy, as in 'veilsum log anomalies log --policy policy.txt', or --dir founders alone",
    );
  const { transcript, size } = await readLogOnce(await openCaller(dir));
  return lookAt(transcript, size);
}

function lookAt(t: Transcript, leaves: number): Looked {
  const traces = [...t.rounds.values()].map(traceOf);
  return { leaves, rounds: traces.length, anomalies: anomaliesOf(t, traces) };
}

function linesOf({ leaves, rounds, anomalies }: Looked): string[] {
  const about = `${leaves} leaves, ${rounds} round${rounds === 1 ? '' : 's'}`;
  if (anomalies.length === 0)
    return [`nothing stands out in ${about} ('veilsum log anomalies --rules' says what was looked for)`];
  return [
    `${anomalies.length} to look at in ${about}; each may have an honest cause`,
    ...anomalies.flatMap(({ rule, code, index, text, rounds: numbers }) => [
      `  ${code}  rule ${rule}, from leaf ${index}: ${printable(text)}`,
      `      rounds ${numbers.join(', ')}`,
    ]),
  ];
}
